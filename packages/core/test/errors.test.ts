import { inspect } from 'node:util';
import { expect, test, vi } from 'vitest';
import { ERROR_CODES, PublishError, WaybillError } from '../src/errors.ts';

test('carries code, message and name, and its stack begins with them', () => {
  const error = new WaybillError('not-found', "topic 'orders' does not exist");
  expect(error).toMatchObject({ code: 'not-found', message: "topic 'orders' does not exist", name: 'WaybillError' });
  expect(error.stack).toMatch(/^WaybillError: topic 'orders' does not exist\n\s+at .*errors\.test/);
  expect(error).not.toHaveProperty('cause');
  expect(error.raw).toBeUndefined();
});

test('shows a masked copy of the cause and keeps the raw error out of sight', () => {
  const raw = Object.assign(new Error('connect amqp://u:marker-secret@h failed'), {
    config: { auth: 'marker-secret' },
  });
  const error = new WaybillError('disconnected', 'broker main: connect amqp://u:marker-secret@h failed', {
    cause: raw,
  });
  expect(error.raw).toBe(raw);
  expect((error.cause as Error).message).toBe('connect amqp://***@h failed');
  const shown = inspect(error, { depth: 10, showHidden: true }) + JSON.stringify(error) + error.stack;
  expect(shown).toContain('amqp://***@h');
  expect(shown).not.toContain('marker-secret');
  expect(Object.keys(error)).toEqual(['code']);
});

test('keeps one of our own errors as the cause as it is', () => {
  const inner = new WaybillError('timeout', 'broker main did not answer in 10s');
  expect(new WaybillError('unavailable', 'no broker', { cause: inner }).cause).toBe(inner);
});

test('a cause of undefined is a cause', () => {
  const error = new WaybillError('unclassified', 'the client threw', { cause: undefined });
  expect((error.cause as Error).message).toContain('undefined');
});

test('PublishError adds outcome and id', () => {
  const error = new PublishError('throttled', 'queue full', {
    outcome: 'rejected',
    id: 'm1',
    cause: new Error('nacked'),
  });
  expect(error).toMatchObject({ code: 'throttled', outcome: 'rejected', id: 'm1', name: 'PublishError' });
  expect((error.cause as Error).message).toBe('nacked');
  expect(PublishError.is(error) && WaybillError.is(error)).toBe(true);
  expect(PublishError.is(new WaybillError('throttled', 'x'))).toBe(false);
});

test('recognises errors of another copy of the package, and nothing else', async () => {
  vi.resetModules();
  const copy = await import('../src/errors.ts');
  const foreign = new copy.PublishError('order', 'x', { outcome: 'rejected', id: 'm' });
  expect(foreign instanceof WaybillError).toBe(false);
  expect(WaybillError.is(foreign) && PublishError.is(foreign)).toBe(true);
  const hostile = new Proxy(
    {},
    {
      get: () => {
        throw new Error('no');
      },
    },
  );
  for (const other of [new Error('x'), null, undefined, 'WaybillError', { code: 'order' }, hostile]) {
    expect(WaybillError.is(other)).toBe(false);
  }
});

const having = (trait: 'retriable' | 'reconnect'): string[] =>
  Object.entries(ERROR_CODES).flatMap(([code, info]) => (info[trait] ? [code] : []));

test('the table says what core does about each code', () => {
  expect(having('retriable')).toEqual(['unavailable', 'throttled', 'timeout', 'disconnected', 'unclassified']);
  expect(having('reconnect')).toEqual(['disconnected']);
  expect(Object.keys(ERROR_CODES)).toHaveLength(14);
  for (const info of Object.values(ERROR_CODES)) expect(info.meaning.length).toBeGreaterThan(10);
});
