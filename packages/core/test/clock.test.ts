import { afterEach, expect, test, vi } from 'vitest';
import { systemClock } from '../src/clock.ts';
import { FakeClock } from './fake-clock.ts';

afterEach(() => void vi.useRealTimers());

test('a timer is never early by the monotonic clock', async () => {
  for (let round = 0; round < 30; round++) {
    const start = systemClock.monotonic();
    const ms = 1 + (round % 7) * 0.9;
    await new Promise<void>((resolve) => void systemClock.setTimer(resolve, ms));
    expect(systemClock.monotonic() - start).toBeGreaterThanOrEqual(ms);
  }
});

test('a timer that Node fires early is set again for the rest', async () => {
  const times = [0, 9.4, 10];
  const reads = vi.spyOn(performance, 'now').mockImplementation(() => times.shift() ?? 11);
  try {
    await new Promise<void>((resolve) => void systemClock.setTimer(resolve, 10));
    expect(reads).toHaveBeenCalledTimes(3);
  } finally {
    reads.mockRestore();
  }
});

test('a timer longer than Node allows fires when it is due', () => {
  vi.useFakeTimers();
  const fired = vi.fn();
  const days = 86_400_000;
  systemClock.setTimer(fired, 60 * days);
  const cancelled = vi.fn();
  const timer = systemClock.setTimer(cancelled, 30 * days);
  vi.advanceTimersByTime(26 * days); // past the first leg of both
  timer.cancel();
  vi.advanceTimersByTime(33 * days);
  expect(fired).not.toHaveBeenCalled();
  vi.advanceTimersByTime(2 * days);
  expect(fired).toHaveBeenCalledTimes(1);
  expect(cancelled).not.toHaveBeenCalled();
});

test('the wall clock is the system one, and the monotonic one moves on', async () => {
  expect(Math.abs(systemClock.now() - Date.now())).toBeLessThan(100);
  const start = systemClock.monotonic();
  await new Promise<void>((resolve) => void systemClock.setTimer(resolve, 2));
  expect(systemClock.monotonic()).toBeGreaterThan(start);
});

test('a cancelled timer stays silent, and cancelling after it has fired is harmless', async () => {
  const fired = vi.fn();
  const cancelled = systemClock.setTimer(fired, 1);
  cancelled.cancel();
  await new Promise<void>((resolve) => {
    const last = systemClock.setTimer(() => {
      last.cancel();
      resolve();
    }, 5);
  });
  expect(fired).not.toHaveBeenCalled();
});

test('the fake clock fires in order, at the due time, also timers set meanwhile', async () => {
  const clock = new FakeClock(1_000);
  const log: [string, number, number][] = [];
  const note = (name: string) => () => void log.push([name, clock.monotonic(), clock.now()]);
  clock.setTimer(note('late'), 30);
  clock.setTimer(note('early'), 10);
  clock.setTimer(note('cancelled'), 20).cancel();
  clock.setTimer(() => void Promise.resolve().then(() => clock.setTimer(note('nested'), 5)), 10);
  await clock.advance(29);
  clock.jump(-500);
  expect(clock.pending).toBe(1);
  await clock.advance(1);
  expect(log).toEqual([
    ['early', 10, 1_010],
    ['nested', 15, 1_015],
    ['late', 30, 530],
  ]);
  expect(clock.pending).toBe(0);
});
