import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { type LaneItem, Lanes } from '../src/lanes.ts';

class Item implements LaneItem<Item> {
  readonly key: string | null;
  readonly id: number;
  next: Item | null = null;
  constructor(key: string | null, id = 0) {
    this.key = key;
    this.id = id;
  }
}

test('one of a key runs, the others follow in order', () => {
  const lanes = new Lanes<Item>();
  const [a, b, c, other] = [new Item('k'), new Item('k'), new Item('k'), new Item('other')] as const;
  expect([a, b, c, other].map((item) => lanes.enter(item))).toEqual([true, false, false, true]);
  expect([lanes.size, lanes.waiting]).toEqual([2, 2]);
  expect(lanes.leave(a)).toBe(b);
  expect(a.next).toBeNull();
  expect(lanes.leave(b)).toBe(c);
  expect(lanes.waiting).toBe(0);
  expect(lanes.leave(c)).toBeNull();
  expect(lanes.leave(other)).toBeNull();
  expect(lanes.size).toBe(0);
  expect(lanes.enter(new Item('k'))).toBe(true);
});

test('items without a key never wait', () => {
  const lanes = new Lanes<Item>();
  const items = [new Item(null), new Item(null)];
  expect(items.map((item) => lanes.enter(item))).toEqual([true, true]);
  expect(items.map((item) => lanes.leave(item))).toEqual([null, null]);
  expect(lanes.size).toBe(0);
});

test('leaving twice starts nobody and frees no key that others hold', () => {
  const lanes = new Lanes<Item>();
  const [a, b] = [new Item('k'), new Item('k')] as const;
  lanes.enter(a);
  lanes.enter(b);
  expect([lanes.leave(a), lanes.leave(a)]).toEqual([b, null]);
  expect(lanes.enter(new Item('k'))).toBe(false);
});

test('another takes the place of the running one, with those behind it', () => {
  const lanes = new Lanes<Item>();
  const [a, b, by, last] = [new Item('k'), new Item('k'), new Item('k'), new Item('k')] as const;
  lanes.enter(a);
  lanes.enter(b);
  lanes.replace(a, by);
  expect([lanes.leave(a), lanes.leave(by), lanes.waiting]).toEqual([null, b, 0]);
  lanes.replace(b, last);
  expect([lanes.leave(b), lanes.size, lanes.leave(last), lanes.size]).toEqual([null, 1, null, 0]);
});

test('never two of a key at once, first in first out, nothing left behind', () => {
  const enter = fc.record({ enter: fc.option(fc.constantFrom('a', 'b', '', '__proto__')) });
  const leave = fc.record({ leave: fc.nat() });
  fc.assert(
    fc.property(fc.array(fc.oneof(enter, leave), { maxLength: 100, size: 'max' }), (steps) => {
      const lanes = new Lanes<Item>();
      const running: Item[] = [];
      const started = new Map<string, number[]>();
      const entered = new Map<string, number[]>();
      let queued = 0;
      const start = (item: Item): void => {
        if (item.key !== null) {
          expect(running.some((other) => other.key === item.key)).toBe(false);
          started.set(item.key, [...(started.get(item.key) ?? []), item.id]);
        }
        running.push(item);
      };
      const end = (at: number): void => {
        const [item] = running.splice(at, 1) as [Item];
        const next = lanes.leave(item);
        expect(item.next).toBeNull();
        if (next === null) return;
        queued--;
        start(next);
      };
      for (const [id, step] of steps.entries()) {
        if ('enter' in step) {
          const item = new Item(step.enter, id);
          if (item.key !== null) entered.set(item.key, [...(entered.get(item.key) ?? []), id]);
          if (lanes.enter(item)) start(item);
          else queued++;
        } else if (running.length > 0) end(step.leave % running.length);
        expect(lanes.waiting).toBe(queued);
        expect(lanes.size).toBe(new Set(running.map((item) => item.key).filter((key) => key !== null)).size);
      }
      while (running.length > 0) end(0);
      expect(started).toEqual(entered);
      expect([lanes.size, lanes.waiting]).toEqual([0, 0]);
    }),
    { numRuns: 200 },
  );
});
