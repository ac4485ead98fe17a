import { connect } from 'node:net';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { isNetworkError } from '../src/network-errors.ts';

test.each(['ECONNRESET', 'EPIPE', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ETIMEDOUT', 'CERT_HAS_EXPIRED'])(
  'a connection that was lost or not made: %s',
  (code) => {
    expect(isNetworkError(Object.assign(new Error('x'), { code }))).toBe(true);
  },
);

test('as Node says it', async () => {
  const [error] = (await once(connect(1, '127.0.0.1'), 'error').catch((refused: unknown) => [refused])) as [unknown];
  expect(isNetworkError(error)).toBe(true);
});

test.each([null, undefined, 'ECONNRESET', new Error('ECONNRESET'), { code: 320 }, { code: 'ENOENT' }])(
  'none: %o',
  (error) => {
    expect(isNetworkError(error)).toBe(false);
  },
);
