import { expect, test, vi } from 'vitest';
import { WaybillError } from '../src/errors.ts';
import { DeadLetter, RetryAfter } from '../src/handler-errors.ts';

test('DeadLetter carries reason, code and cause', () => {
  const cause = new Error('404');
  const error = new DeadLetter('no such customer', { code: 'customer-unknown', cause });
  expect(error).toMatchObject({ name: 'DeadLetter', message: 'no such customer', code: 'customer-unknown', cause });
  expect(new DeadLetter('x').code).toBeNull();
  expect(new DeadLetter('x')).not.toHaveProperty('cause');
});

test('RetryAfter carries its delay in milliseconds', () => {
  expect(new RetryAfter('30s')).toMatchObject({ name: 'RetryAfter', delay: 30_000, message: 'retry after 30s' });
  expect(new RetryAfter(250, { reason: 'rate limited' })).toMatchObject({ delay: 250, message: 'rate limited' });
});

test('RetryAfter refuses what is no duration', () => {
  expect(() => new RetryAfter('soon' as '1s')).toThrow(expect.objectContaining({ code: 'invalid' }));
  expect(() => new RetryAfter(-1)).toThrow(WaybillError);
});

test('both are recognised across copies of the package, and not for one another', async () => {
  vi.resetModules();
  const copy = await import('../src/handler-errors.ts');
  expect(DeadLetter.is(new copy.DeadLetter('x')) && RetryAfter.is(new copy.RetryAfter(1))).toBe(true);
  expect(DeadLetter.is(new RetryAfter(1)) || RetryAfter.is(new DeadLetter('x')) || DeadLetter.is(undefined)).toBe(
    false,
  );
});
