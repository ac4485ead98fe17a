import { Buffer } from 'node:buffer';
import { spawnSync } from 'node:child_process';
import type { Message } from '@aws-sdk/client-sqs';
import type { Destination, Envelope } from '@waybill/core/adapter';
import { expect, test } from 'vitest';
import { contentOf, envelopeOf } from '../src/entry.ts';
import { classify, isLeaseLost, isUndone } from '../src/errors.ts';
import { createAdapter, manifests, sqs, sqsFifo } from '../src/index.ts';
import { dedupIdOf, groupOfKey, groupOfMessage, Layout } from '../src/names.ts';
import { settingsOf, type SqsOptions } from '../src/options.ts';

const standard = { fifo: false, unwrapSns: true } as const;
const onFifo = { fifo: true, unwrapSns: true } as const;

const envelope = (over: Partial<Envelope>): Envelope => ({
  id: 'id-1',
  time: 1_700_000_000_000,
  key: null,
  type: null,
  source: null,
  contentType: null,
  headers: {},
  control: null,
  body: Buffer.from('x'),
  ...over,
});

/** Through a queue and back. */
function travelled(message: Envelope): Envelope {
  const { MessageBody, MessageAttributes } = contentOf(message);
  return envelopeOf({ Body: MessageBody, MessageAttributes, MessageId: 'broker-id' }, standard);
}

test.each([
  ['text', Buffer.from('{"a":1}')],
  ['nothing', Buffer.alloc(0)],
  ['a byte order mark', Buffer.from('\uFEFFx')],
  ['emoji', Buffer.from('🚚🏽')],
  ['a control character', Buffer.from('a\u0000b')],
  ['U+FFFE and U+FFFF', Buffer.from('\uFFFE\uFFFF')],
  ['line ends', Buffer.from('a\r\nb\tc')],
  ['bytes that are no text', Buffer.from([0xff, 0xfe, 0x80])],
  ['the stand-in of an empty body', Buffer.from('-')],
])('a body that is %s arrives byte for byte', (_what, body) => {
  expect(Buffer.from(travelled(envelope({ body })).body)).toEqual(body);
});

test('headers arrive as they were: odd names, empty values, bytes, more than ten', () => {
  const headers = Object.create(null) as Record<string, string | Uint8Array>;
  Object.assign(headers, { plain: 'x', 'AWS.name': 'y', 'with space': 'z', empty: '', waybill: 'mine', 'a..b': '1' });
  Object.defineProperty(headers, '__proto__', { value: 'safe', enumerable: true });
  headers['bytes'] = new Uint8Array([0, 255]);
  headers['control'] = '\u0000\uFFFE\uFFFF';
  for (let n = 0; n < 20; n++) headers[`more-${n}`] = String(n);
  const arrived = travelled(envelope({ headers, key: 'ключ', control: { attempt: 3, group: 'g' } }));
  expect(Object.keys(arrived.headers).toSorted()).toEqual(Object.keys(headers).toSorted());
  for (const name of Object.keys(headers))
    expect([name, Buffer.from(arrived.headers[name] ?? 'missing')]).toEqual([name, Buffer.from(headers[name] ?? '')]);
  expect([arrived.key, arrived.control]).toEqual(['ключ', { attempt: 3, group: 'g' }]);
});

test('nine legal headers are attributes of their own, in their order; with ours there are never more than ten', () => {
  const headers = Object.fromEntries(Array.from({ length: 12 }, (_, n) => [`h${n}`, 'x']));
  const { MessageAttributes, bytes, MessageBody } = contentOf(envelope({ headers, contentType: 'application/json' }));
  expect(Object.keys(MessageAttributes)).toEqual(['h0', 'h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'h7', 'h8', 'waybill']);
  const counted = Object.entries(MessageAttributes).map(([name, { DataType = '', StringValue = '' }]) =>
    Buffer.byteLength(name + DataType + StringValue),
  );
  expect(bytes).toBe(Buffer.byteLength(MessageBody) + counted.reduce((sum, one) => sum + one, 0));
});

test("another program's message: attributes are headers, and SQS's own fields stand in for ours", () => {
  const message: Message = {
    MessageId: 'broker-id',
    Body: 'hello',
    Attributes: { SentTimestamp: '1700000000000', MessageGroupId: 'g1' },
    MessageAttributes: {
      count: { DataType: 'Number', StringValue: '7' },
      bytes: { DataType: 'Binary', BinaryValue: new Uint8Array([1]) },
      waybill: { DataType: 'String', StringValue: 'no JSON' },
    },
  };
  const read = envelopeOf(message, onFifo);
  expect([read.id, read.time, read.key]).toEqual(['broker-id', 1_700_000_000_000, 'g1']);
  expect({ ...read.headers }).toEqual({ count: '7', bytes: new Uint8Array([1]), waybill: 'no JSON' });
  expect(envelopeOf(message, standard).key).toBeNull(); // there it is a tenant, and orders nothing
});

test('an SNS envelope is unwrapped, unless it is ours or that is turned off', () => {
  const notice = {
    Type: 'Notification',
    TopicArn: 'arn:aws:sns:x',
    Message: 'inside',
    MessageAttributes: { a: { Type: 'String', Value: 'b' }, c: { Type: 'Binary', Value: 'AQ==' } },
  };
  const message: Message = { MessageId: 'm', Body: JSON.stringify(notice) };
  const read = envelopeOf(message, standard);
  expect(Buffer.from(read.body).toString()).toBe('inside');
  expect({ ...read.headers }).toEqual({ a: 'b', c: Buffer.from([1]) });
  expect(Buffer.from(envelopeOf(message, { fifo: false, unwrapSns: false }).body).toString()).toBe(message.Body);
  const ours = envelope({ body: Buffer.from(JSON.stringify(notice)) });
  expect(Buffer.from(travelled(ours).body)).toEqual(Buffer.from(ours.body));
});

test('every key has a legal message group of its own', () => {
  const keys = [
    '',
    ' ',
    'a',
    'A',
    '~a',
    `~k${'0'.repeat(64)}`,
    'ключ',
    'x'.repeat(128),
    'x'.repeat(129),
    'a b',
    'a\tb',
  ];
  const groups = [...keys.map(groupOfKey), groupOfMessage('m1'), groupOfMessage('m2')];
  for (const group of groups) expect(group).toMatch(/^[\x21-\x7e]{1,128}$/);
  expect(new Set(groups).size).toBe(groups.length);
  expect([groupOfKey('order-1'), dedupIdOf('018f-id')]).toEqual(['order-1', '018f-id']);
  expect(dedupIdOf('x'.repeat(255))).toMatch(/^~[0-9a-f]{64}$/);
});

const destination = (kind: Destination['kind'], name: string, group: string | null): Destination => ({
  kind, name, topic: 'prod___a.b', group, partitions: null, ordered: false, address: null,
}); // prettier-ignore

test('queue names: dots, suffix, inbox and group in one, addresses, and 80 characters', () => {
  const layout = new Layout({ queuePrefix: 'x-', fifo: true });
  expect(layout.group('prod___a.b', 'c.d', null)).toBe('x-prod___a_-b__c_-d.fifo');
  expect(layout.only(destination('inbox', 'prod___a.b__c.d__retry', 'c.d'))).toBe('x-prod___a_-b__c_-d.fifo');
  expect(layout.only(destination('dead-letter', 'prod___a.b__c.d__dlq', 'c.d'))).toBe('x-prod___a_-b__c_-d__dlq.fifo');
  expect(layout.group('prod___a.b', 'old', 'legacy.fifo')).toBe('legacy.fifo');
  expect(layout.only(destination('inbox', 'prod___a.b__old__retry', 'old'))).toBe('legacy.fifo');
  expect(() => layout.group('t', 'g', 'legacy')).toThrow('must be the name of a FIFO queue, with .fifo at its end');
  const fits = new Layout({ queuePrefix: '', fifo: false });
  fits.check('t'.repeat(40), 'g'.repeat(33)); // 40 + 2 + 33 + 5
  expect(() => fits.check('t'.repeat(40), 'g'.repeat(34))).toThrow('81 characters; allowed: 80');
});

test('look-alikes among queue names are nobody’s group', () => {
  const layout = new Layout({ queuePrefix: '', fifo: false });
  const beginning = layout.beginning('orders');
  const groups = ['orders__inventory', 'orders__a_-b', 'orders__a-b'];
  const others = [
    'orders___x__g',
    'orders__inventory__dlq',
    'orders__dlq',
    'orders__inventory.fifo',
    'orders__',
    'other__g',
  ];
  expect(groups.filter((one) => !layout.isGroup(beginning, one))).toEqual([]);
  expect(others.filter((one) => layout.isGroup(beginning, one))).toEqual([]);
});

const answer = (name: string, status: number, message = '', Code?: string): Error =>
  Object.assign(new Error(message), {
    name,
    $metadata: { httpStatusCode: status },
    ...(Code !== undefined && { Code }),
  });
const broken = (code: string): Error => Object.assign(new Error(code), { code });

test.each([
  [answer('QueueDoesNotExist', 400), 'not-found', true],
  [answer('AWS.SimpleQueueService.NonExistentQueue', 400), 'not-found', true],
  [answer('Error', 400, '', 'com.amazonaws.sqs#QueueDoesNotExist'), 'not-found', true],
  [answer('QueueDeletedRecently', 400), 'not-found', true],
  [answer('RequestThrottled', 400), 'throttled', true],
  [answer('ThrottlingException', 400), 'throttled', true],
  [answer('OverLimit', 403), 'throttled', true],
  [answer('TooMany', 429), 'throttled', true],
  [answer('KmsThrottled', 400), 'throttled', true],
  [answer('KmsDisabled', 400), 'denied', true],
  [answer('AccessDeniedException', 403), 'denied', true],
  [answer('InvalidClientTokenId', 403), 'denied', true],
  [answer('ExpiredTokenException', 403), 'denied', true],
  [answer('SignatureDoesNotMatch', 403), 'denied', true],
  [answer('InternalFailure', 500), 'unavailable', false],
  [answer('SyntaxError', 503), 'unavailable', false],
  [answer('InvalidMessageContents', 400), 'invalid', true],
  [answer('InvalidParameterValueException', 400, 'x'), 'invalid', true],
  [answer('InvalidParameterValue', 400, 'Message must be shorter than 1048576 bytes.'), 'too-large', true],
  [answer('BatchRequestTooLong', 400), 'too-large', true],
  [answer('QueueNameExists', 400), 'invalid', true],
  [answer('UnsupportedOperation', 400), 'unsupported', true],
  [answer('PurgeQueueInProgress', 403), 'unavailable', false],
  [broken('ECONNREFUSED'), 'unavailable', true],
  [broken('ENOTFOUND'), 'unavailable', true],
  [broken('ECONNRESET'), 'unavailable', false],
  [broken('EPIPE'), 'unavailable', false],
  [Object.assign(new Error('slow'), { name: 'TimeoutError' }), 'timeout', false],
  [
    Object.assign(new Error('Could not load credentials from any providers'), { name: 'CredentialsProviderError' }),
    'denied',
    true,
  ],
  [new Error('Region is missing'), 'invalid', true],
  [new Error('what is this'), 'unclassified', false],
] as const)('%s is %s', (error, code, undone) => {
  expect([classify(error), isUndone(error)]).toEqual([code, undone]);
});

test('a receipt is lost by four kinds of answers, and by no others', () => {
  const lost = [
    answer('ReceiptHandleIsInvalid', 400),
    answer('MessageNotInflight', 400),
    answer('InvalidParameterValue', 400, 'Reason: The receipt handle has expired.'),
    answer(
      'InvalidParameterValueException',
      400,
      'Message does not exist or is not available for visibility timeout change.',
    ),
  ];
  expect(lost.filter((one) => !isLeaseLost(one))).toEqual([]);
  expect(isLeaseLost(answer('InvalidParameterValue', 400, 'Value 99999 is invalid'))).toBe(false);
  expect(isLeaseLost(answer('InternalFailure', 500))).toBe(false);
});

const client = { send: () => undefined };

test.each<[options: Record<string, unknown>, words: string]>([
  [{ regoin: 'x' }, 'option regoin is unknown'],
  [{ url: 'http://x' }, "the URL's scheme is http"],
  [{ url: 'sqs-fifo:' }, 'allowed: sqs, sqs+http, sqs+https'],
  [{ url: 'sqs+ftp://h' }, "the URL's scheme is sqs+ftp"],
  [{ url: 'sqs://a,b' }, 'several hosts'],
  [{ url: 'sqs+http:' }, 'needs a host'],
  [{ url: 'sqs://eu-west-1:80' }, 'sqs+https://host:port'],
  [{ url: 'sqs+http://h?x=1' }, 'URL parameter x is unknown'],
  [{ url: 'sqs+http://key@h' }, 'but not both'],
  [{ region: 'somewhere!' }, 'region is "somewhere!"'],
  [{ endpoint: 'ftp://x' }, 'endpoint must be'],
  [{ url: 'sqs+http://h', endpoint: 'https://other' }, 'endpoint needs a sqs: URL'],
  [{ clients: { poll: client, rest: client }, md5: false }, 'md5 is a matter of the clients given'],
  [{ kmsKey: '' }, 'kmsKey is empty'],
  [{ queuePrefix: 'a b' }, 'queuePrefix is "a b"'],
  [{ groupRefresh: '6m' }, "groupRefresh is '6m'; allowed: whole milliseconds from 0 to 300000"],
  [{ pollWait: '21s' }, "pollWait is '21s'"],
  [{ pollWait: '1500ms' }, 'whole seconds'],
  [{ lease: '1s' }, "lease is '1s'"],
  [{ timeout: 10 }, 'timeout is 10'],
  [{ md5: 1 }, 'md5 is 1'],
  [{ clients: {} }, 'clients must be { poll, rest }'],
  [{ tags: { a: 1 } }, 'tags must be'],
])('options %o are refused by one clear error', (options, words) => {
  expect(() => settingsOf(options as SqsOptions, 'test', 'sqs')).toThrow(words);
});

test('no secret is in an error', () => {
  const open = (): unknown => createAdapter({ url: 'sqs+http://AKIA123:hush@h/path', options: {}, client: 'test' });
  expect(open).toThrow(/^((?!hush|AKIA123).)*$/s);
});

test('a URL is a region or an endpoint; plain HTTP never gets a real key', () => {
  expect(settingsOf({ url: 'sqs://eu-west-1' }, 't', 'sqs')).toMatchObject({
    region: 'eu-west-1',
    endpoint: null,
    credentials: null,
  });
  const local = settingsOf({ url: 'sqs-fifo+http://127.0.0.1:9324' }, 't', 'sqs-fifo');
  expect(local).toMatchObject({ fifo: true, endpoint: 'http://127.0.0.1:9324', region: 'us-east-1' });
  expect(local.credentials).toEqual({ accessKeyId: 'waybill', secretAccessKey: 'waybill' });
});

test('two manifests: order, dedup and at-most-once on FIFO; delays and requeues on standard', () => {
  expect(Object.keys(manifests)).toEqual(['sqs', 'sqs-fifo']);
  const by = (name: string): string[] => {
    const { order, publish, deliver, requeue } = manifests[name] as (typeof manifests)[string];
    return [order.key.by, publish.dedup.by, deliver.atMostOnce.by, publish.delay.by, requeue.by];
  };
  expect(by('sqs')).toEqual(['refused', 'refused', 'refused', 'native', 'native']);
  expect(by('sqs-fifo')).toEqual(['native', 'native', 'native', 'refused', 'refused']);
  expect([sqs().name, sqsFifo().name]).toEqual(['sqs', 'sqs-fifo']);
});

test('to import the package loads no SDK', () => {
  const script = `import { createRequire } from 'node:module';
    await import(${JSON.stringify(new URL('../src/index.ts', import.meta.url).href)});
    const { cache } = createRequire(import.meta.url);
    console.log(Object.keys(cache).some((name) => name.includes('@aws-sdk')));`;
  const args = ['--conditions=waybill-source', '--import', 'tsx', '--input-type=module', '-e', script];
  const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  expect([stdout.trim(), stderr]).toEqual(['false', '']);
});
