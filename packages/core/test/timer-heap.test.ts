import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { TimerHeap } from '../src/timer-heap.ts';
import { FakeClock } from './fake-clock.ts';

const setUp = (): { clock: FakeClock; heap: TimerHeap<string>; batches: string[][] } => {
  const clock = new FakeClock();
  const batches: string[][] = [];
  return { clock, batches, heap: new TimerHeap<string>(clock, (items) => void batches.push(items)) };
};

test('hands out what is due in one batch, ordered, with one timer', async () => {
  const { clock, heap, batches } = setUp();
  for (const [due, item] of [
    [20, 'c'],
    [10, 'a'],
    [30, 'd'],
    [10, 'b'],
  ] as const)
    heap.add(due, item);
  expect([heap.size, clock.pending]).toEqual([4, 1]);
  await clock.advance(9);
  expect(batches).toEqual([]);
  await clock.advance(1);
  expect(batches).toEqual([['a', 'b']]);
  await clock.advance(20);
  expect(batches).toEqual([['a', 'b'], ['c'], ['d']]);
  expect([heap.size, clock.pending]).toEqual([0, 0]);
});

test('equal deadlines end in the order they were added', async () => {
  const { clock, heap, batches } = setUp();
  const items = Array.from({ length: 20 }, (_, index) => String(index));
  for (const item of items) heap.add(10, item);
  await clock.advance(10);
  expect(batches).toEqual([items]);
});

test('is set again only for an earlier deadline', () => {
  const clock = new FakeClock();
  let timers = 0;
  const counting = {
    now: () => clock.now(),
    monotonic: () => clock.monotonic(),
    setTimer: (callback: () => void, ms: number) => {
      timers++;
      return clock.setTimer(callback, ms);
    },
  };
  const heap = new TimerHeap<number>(counting, () => undefined);
  const entries = [50, 50, 60, 70].map((due) => heap.add(due, due));
  for (const entry of entries.slice(0, 3)) heap.remove(entry);
  heap.add(55, 55);
  expect(timers).toBe(1);
  heap.add(40, 40);
  expect([timers, clock.pending]).toEqual([2, 1]);
});

test('any entry may be removed, the rest comes in order', () => {
  const dues = fc.array(fc.nat(100), { maxLength: 100, size: 'max' });
  fc.assert(
    fc.property(dues, fc.infiniteStream(fc.boolean()), (all, removes) => {
      const heap = new TimerHeap<number>(new FakeClock(), () => undefined);
      const entries = all.map((due) => heap.add(due, due));
      const rest = entries.filter((entry) => !(removes.next().value === true && heap.remove(entry)));
      expect(heap.clear()).toEqual(rest.map((entry) => entry.due).toSorted((a, b) => a - b));
    }),
    { numRuns: 100 },
  );
});

test('what is past is handed out by the timer, not from within add', async () => {
  const { clock, heap, batches } = setUp();
  await clock.advance(100);
  heap.add(50, 'past');
  heap.add(20, 'more');
  expect(batches).toEqual([]);
  await clock.advance(0);
  expect(batches).toEqual([['more', 'past']]);
});

test('a removed entry does not fire, and the last one removed stops the timer', async () => {
  const { clock, heap, batches } = setUp();
  const [a, b] = [heap.add(10, 'a'), heap.add(20, 'b')] as const;
  expect([heap.remove(a), heap.remove(a)]).toEqual([true, false]);
  await clock.advance(15);
  expect([batches.length, clock.pending]).toEqual([0, 1]);
  expect(heap.remove(b)).toBe(true);
  expect(clock.pending).toBe(0);
  const c = heap.add(20, 'c');
  await clock.advance(20);
  expect(batches).toEqual([['c']]);
  expect(heap.remove(c)).toBe(false);
});

test('clear returns everything in order and stops the timer', () => {
  const { clock, heap } = setUp();
  heap.add(20, 'b');
  heap.add(10, 'a');
  expect(heap.clear()).toEqual(['a', 'b']);
  expect([heap.size, clock.pending]).toEqual([0, 0]);
});

test('items added from within onDue, and a throw from it, stop no deadline', () => {
  let fire: (() => void) | undefined;
  const clock = new FakeClock();
  const manual = {
    now: () => clock.now(),
    monotonic: () => time,
    setTimer: (callback: () => void) => {
      fire = callback;
      return { cancel: () => undefined };
    },
  };
  let time = 0;
  const seen: number[] = [];
  const heap = new TimerHeap<number>(manual, (items) => {
    seen.push(...items);
    if (items.includes(1)) heap.add(10, 3);
    if (items.includes(1)) throw new Error('from the handler');
  });
  heap.add(1, 1);
  heap.add(5, 2);
  time = 1;
  expect(() => fire?.()).toThrow('from the handler');
  time = 5;
  fire?.();
  time = 10;
  fire?.();
  expect(seen).toEqual([1, 2, 3]);
});

test('equals a sorted list over random histories', async () => {
  const step = fc.oneof(
    { arbitrary: fc.record({ add: fc.integer({ min: -5, max: 40 }) }), weight: 4 },
    fc.record({ remove: fc.nat() }),
    fc.record({ advance: fc.integer({ min: 0, max: 12 }) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60, size: 'max' }), async (steps) => {
      const clock = new FakeClock();
      const fired: number[] = [];
      const heap = new TimerHeap<number>(clock, (items) => void fired.push(...items));
      const entries: { entry: ReturnType<typeof heap.add>; due: number; id: number }[] = [];
      const expected: number[] = [];
      let live: typeof entries = [];
      for (const [id, one] of steps.entries()) {
        if ('add' in one) {
          const due = clock.monotonic() + one.add;
          const record = { entry: heap.add(due, id), due, id };
          entries.push(record);
          live.push(record);
        } else if ('remove' in one) {
          const record = entries.at(one.remove % entries.length);
          if (record === undefined) continue;
          expect(heap.remove(record.entry)).toBe(live.includes(record));
          live = live.filter((other) => other !== record);
        } else {
          const until = clock.monotonic() + one.advance;
          await clock.advance(one.advance);
          const due = live.filter((record) => record.due <= until);
          expected.push(...due.toSorted((a, b) => a.due - b.due || a.id - b.id).map((record) => record.id));
          live = live.filter((record) => record.due > until);
          expect(fired.toSorted((a, b) => a - b)).toEqual(expected.toSorted((a, b) => a - b));
        }
        expect(heap.size).toBe(live.length);
        expect(clock.pending).toBe(live.length > 0 ? 1 : 0);
      }
      expect(fired).toEqual(expected);
    }),
    { numRuns: 100 },
  );
});
