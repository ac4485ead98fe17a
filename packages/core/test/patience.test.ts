import { getEventListeners } from 'node:events';
import { expect, test, vi } from 'vitest';
import { patiently, untilAborted } from '../src/patience.ts';

const never = new Promise<void>(() => undefined);

test('waits for the promise, whichever way it ends, and leaves no timer and no listener', async () => {
  vi.useFakeTimers();
  const { signal } = new AbortController();
  await patiently(Promise.resolve(), 1_000, signal);
  await patiently(Promise.reject(new Error('refused')), 1_000, signal);
  expect([vi.getTimerCount(), getEventListeners(signal, 'abort').length]).toEqual([0, 0]);
  vi.useRealTimers();
});

test('waits no longer than it is told, nor after the signal has fired', async () => {
  await patiently(never, 1);
  const controller = new AbortController();
  const waiting = patiently(never, null, controller.signal);
  controller.abort();
  await waiting;
  await patiently(never, null, controller.signal);
});

test('a publish whose signal fires is unknown; else it is what it is', async () => {
  const confirmed = { status: 'confirmed', position: null } as const;
  expect(await untilAborted(Promise.resolve([confirmed]), ['m'], new AbortController().signal)).toEqual([confirmed]);
  const stop = new AbortController();
  const late = untilAborted(new Promise(() => undefined), ['m', 'n'], stop.signal);
  stop.abort('enough');
  const unknown = { status: 'unknown', error: 'enough' };
  expect(await late).toEqual([unknown, unknown]);
  await expect(untilAborted(Promise.reject(new Error('no')), ['m'], new AbortController().signal)).rejects.toThrow(
    'no',
  );
});
