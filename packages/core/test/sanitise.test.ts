import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isSecretName, maskSecrets, maskText, messageOf, sanitise } from '../src/sanitise.ts';

describe('maskText', () => {
  test.each([
    ['amqp://user:S3CRET@host:5672/v', 'amqp://***@host:5672/v'],
    ['amqp://user:S3/CRE@T?x#@host', 'amqp://***@host'],
    ['see redis://:S3CRET@h1 and kafka://S3CRET@h2.', 'see redis://***@h1 and kafka://***@h2.'],
    ['profile://u:S3CRET@h', 'profile://***@h'],
    ['password=S3CRET', 'password=***'],
    ['PASSWORD: S3CRET next', 'PASSWORD: *** next'],
    ["{ password: 'S3 CR\\'ET', user: 'u' }", "{ password: ***, user: 'u' }"],
    ['{"user":"u","password":"S3 CR\\"ET"}', '{"user":"u","password":***}'],
    ['"{\\"secretAccessKey\\":\\"S3CRET\\"}"', '"{\\"secretAccessKey\\":***'],
    ['{"token":"S3CRET', '{"token":***'],
    ["Map(1) { 'token' => 'S3CRET' }", "Map(1) { 'token' => *** }"],
    ['Authorization: Bearer S3CRET.abc', 'Authorization: ***'],
    ['authorization=Basic S3CRET==', 'authorization=***'],
    ['api_key=S3CRET&x=1', 'api_key=***&x=1'],
    ['?X-Amz-Signature=S3CRET&X-Amz-Date=1', '?X-Amz-Signature=***&X-Amz-Date=1'],
    ['x: AWS4-HMAC-SHA256 Credential=AK/1, Signature=S3CRET', 'x: AWS4 ***'],
    ['key id AKIAIOSFODNN7EXAMPLE here', 'key id *** here'],
  ])('%s', (text, masked) => expect(maskText(text)).toBe(masked));

  test.each([
    'Unexpected token < in JSON at position 0',
    'at file:///app/node_modules/@waybill/core/dist/a.js:1:2',
    'user@example.com could not connect to kafka://h1:9092',
    '5 tests passed: all of them',
  ])('leaves alone: %s', (text) => expect(maskText(text)).toBe(text));

  test('masks registered secrets in any place, also percent-encoded, the longest first', () => {
    maskSecrets('hunter2/', 'hunter2/long', 'abc', 'four');
    expect(maskText('a hunter2/long b xhunter2/x hunter2%2F abc four')).toBe('a *** b x***x *** abc ***');
    expect(() => maskSecrets('\ud800 lone surrogate')).not.toThrow();
  });

  test('keeps a bounded number of secrets, the newest', () => {
    maskSecrets(...Array.from({ length: 3_000 }, (_, index) => `rotating-${index}!`));
    expect(maskText('rotating-2999! rotating-0!')).toBe('*** rotating-0!');
  });

  test('takes linear time for hostile text', () => {
    for (const piece of ['a.', '://', '@://', 'token', 'token="', 'secret\\', 'password ', 'AKIA', 'pass:"\\']) {
      const text = piece.repeat(200_000 / piece.length);
      const start = process.cpuUsage(); // not the wall clock: other tests run beside this one
      maskText(text);
      expect(process.cpuUsage(start).user, piece).toBeLessThan(2_000_000);
    }
  });
});

test('isSecretName', () => {
  for (const name of [
    'password',
    'pass',
    'sasl.password',
    'secretAccessKey',
    'X-Amz-Security-Token',
    'api-key',
    'PWD',
  ]) {
    expect(isSecretName(name), name).toBe(true);
  }
  for (const name of ['sasl', 'region', 'key', 'vhost', 'passive']) expect(isSecretName(name), name).toBe(false);
});

describe('sanitise', () => {
  test('copies name, message, code, stack and causes, and nothing else', () => {
    const inner = Object.assign(new TypeError('token=S3CRET'), { code: 404 });
    const outer = Object.assign(new Error('amqp://u:S3CRET@h', { cause: inner }), {
      code: 'ECONNREFUSED',
      args: ['S3CRET'],
    });
    const copy = sanitise(outer);
    expect(copy).toMatchObject({ name: 'Error', message: 'amqp://***@h', code: 'ECONNREFUSED' });
    expect(copy.cause).toMatchObject({ name: 'TypeError', message: 'token=***', code: 404 });
    expect(copy.stack).toContain('sanitise.test');
    expect(copy.stack).not.toContain('S3CRET');
    expect(copy).not.toHaveProperty('args');
  });

  test('takes plain objects with a message for errors, and invents no stack', () => {
    expect(sanitise({ name: 'Odd', message: 'hm' })).toMatchObject({ name: 'Odd', message: 'hm', stack: 'Odd: hm' });
  });

  test('speaks for an AggregateError without a message', () => {
    expect(messageOf(new AggregateError([new Error('refused ::1'), new Error('refused 127.0.0.1')]))).toBe(
      'refused ::1; refused 127.0.0.1',
    );
    expect([messageOf(new Error('no')), messageOf('no'), messageOf(Object.create(null))]).toEqual([
      'no',
      'no',
      '[Object: null prototype] {}',
    ]);
    expect(sanitise(new AggregateError([new Error('refused ::1'), 'x'])).message).toBe("refused ::1; 'x'");
  });

  const circular: Record<string, unknown> = { a: 1 };
  circular['self'] = circular;
  test.each([
    ['text', 'text'],
    [undefined, 'thrown: undefined'],
    [null, 'thrown: null'],
    [42n, 'thrown: 42n'],
    [{ a: 1 }, 'thrown: { a: 1 }'],
    [circular, 'thrown: <ref *1> { a: 1, self: [Circular *1] }'],
    [{ password: 'S3CRET' }, 'thrown: { password: *** }'],
  ])('describes what is no error: %#', (thrown, message) => {
    expect(sanitise(thrown)).toMatchObject({ name: 'NonError', message });
  });

  test('survives hostile objects', () => {
    const bomb = new Proxy(new Error('x'), {
      get: () => {
        throw new Error('boom');
      },
    });
    const revoked = Proxy.revocable({}, {});
    revoked.revoke();
    const self: Error & { cause?: unknown } = new Error('self');
    self.cause = self;
    for (const hostile of [
      bomb,
      revoked.proxy,
      self,
      { message: '', errors: revoked.proxy },
      {
        get message(): string {
          throw new Error('boom');
        },
      },
    ]) {
      expect(sanitise(hostile)).toBeInstanceOf(Error);
    }
  });

  test('is total and bounded', () => {
    const big = sanitise(new Error('x'.repeat(1_000_000)));
    expect(big.message).toMatch(/^x{2000}…$/);
    expect(big.stack?.length).toBeLessThan(8_010);
    fc.assert(
      fc.property(fc.anything({ withNullPrototype: true, withBigInt: true, withSparseArray: true }), (thrown) => {
        expect(sanitise(thrown).message.length).toBeLessThan(2_010);
      }),
    );
  });

  test('does not cut a secret in half', () => {
    const text = `${'x'.repeat(1_990)}password=S3CRET-S3CRET-S3CRET`;
    expect(sanitise(new Error(text)).message).not.toContain('S3');
  });
});
