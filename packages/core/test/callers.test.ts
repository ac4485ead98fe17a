import { getEventListeners } from 'node:events';
import { expect, test } from 'vitest';
import { Callers } from '../src/callers.ts';

test('a signal has one listener, however many calls wait on it, and none when they have ended', () => {
  const callers = new Callers<number>(() => undefined);
  const { signal } = new AbortController();
  const stops = Array.from({ length: 20 }, (_, call) => callers.watch(signal, call));
  expect(getEventListeners(signal, 'abort')).toHaveLength(1);
  for (const stop of stops) stop();
  expect(getEventListeners(signal, 'abort')).toHaveLength(0);
});

test('a signal gives up the calls that wait on it, once, and no others', () => {
  const given: string[] = [];
  const callers = new Callers<string>((call) => given.push(call));
  const [mine, other] = [new AbortController(), new AbortController()];
  callers.watch(mine.signal, 'waits');
  callers.watch(mine.signal, 'has ended')();
  callers.watch(other.signal, 'of another');
  mine.abort();
  expect(given).toEqual(['waits']);
});

test('a call that is given up may end others that wait on the signal', () => {
  const given: string[] = [];
  const stops = new Map<string, () => void>();
  const callers = new Callers<string>((call) => {
    given.push(call);
    for (const stop of stops.values()) stop();
  });
  const controller = new AbortController();
  for (const call of ['first', 'second']) stops.set(call, callers.watch(controller.signal, call));
  controller.abort();
  expect(given).toEqual(['first', 'second']);
});
