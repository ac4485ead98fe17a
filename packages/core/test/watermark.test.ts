import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { Watermark } from '../src/watermark.ts';

test('passes only what is complete without a gap, and says so once', () => {
  const watermark = new Watermark<string>();
  const [a, b, c] = ['a', 'b', 'c'].map((receipt) => watermark.register(receipt, 0)) as [number, number, number];
  expect([a, b, c]).toEqual([0, 1, 2]);
  watermark.complete(b);
  expect(watermark.take()).toBeUndefined();
  watermark.complete(a);
  expect(watermark.take()).toBe('b');
  expect(watermark.take()).toBeUndefined();
  watermark.complete(c);
  expect(watermark.take()).toBe('c');
});

test('tells which deliveries it has passed', () => {
  const watermark = new Watermark<string>();
  const [a, b] = ['a', 'b'].map((receipt) => watermark.register(receipt, 0)) as [number, number];
  watermark.complete(b);
  expect([a, b].map((sequence) => watermark.passed(sequence))).toEqual([false, false]);
  watermark.complete(a);
  expect([a, b, 2].map((sequence) => watermark.passed(sequence))).toEqual([true, true, false]);
});

test('knows span, flight and the age of the head', () => {
  const watermark = new Watermark<string>();
  expect(watermark.headSince).toBeNull();
  const first = watermark.register('a', 10);
  const second = watermark.register('b', 20);
  watermark.register('c', 30);
  watermark.complete(second);
  expect([watermark.span, watermark.inFlight, watermark.headSince]).toEqual([3, 2, 10]);
  watermark.complete(first);
  expect([watermark.span, watermark.inFlight, watermark.headSince]).toEqual([1, 1, 30]);
});

test('completing twice, or what was never registered, changes nothing', () => {
  const watermark = new Watermark<string>();
  watermark.register('a', 0);
  const second = watermark.register('b', 0);
  for (const sequence of [second, second, 2, 99, -1, Number.NaN]) watermark.complete(sequence);
  expect([watermark.take(), watermark.span, watermark.inFlight]).toEqual([undefined, 2, 1]);
  watermark.complete(0);
  expect(watermark.take()).toBe('b');
  watermark.complete(0);
  watermark.complete(second);
  const third = watermark.register('c', 0);
  expect([watermark.take(), watermark.inFlight]).toEqual([undefined, 1]);
  watermark.complete(third);
  expect(watermark.take()).toBe('c');
});

test('equals a naive model over random histories', () => {
  type Step = { kind: 'register'; count: number } | { kind: 'complete'; pick: number } | { kind: 'take' };
  const step: fc.Arbitrary<Step> = fc.oneof(
    fc.record({ kind: fc.constant('register' as const), count: fc.integer({ min: 1, max: 90 }) }),
    { arbitrary: fc.record({ kind: fc.constant('complete' as const), pick: fc.nat() }), weight: 6 },
    fc.record({ kind: fc.constant('take' as const) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
      const watermark = new Watermark<number>();
      const open: boolean[] = []; // by sequence
      let taken = -1;
      for (const one of steps) {
        if (one.kind === 'register') {
          for (let count = 0; count < one.count; count++) {
            expect(watermark.register(open.length, open.length)).toBe(open.length);
            open.push(true);
          }
        } else if (one.kind === 'complete' && open.length > 0) {
          watermark.complete(one.pick % open.length);
          open[one.pick % open.length] = false;
        }
        const head = open.includes(true) ? open.indexOf(true) : open.length;
        expect(watermark.span).toBe(open.length - head);
        expect(watermark.inFlight).toBe(open.filter(Boolean).length);
        expect(watermark.headSince).toBe(head === open.length ? null : head);
        if (one.kind === 'take') {
          expect(watermark.take()).toBe(head - 1 > taken ? head - 1 : undefined);
          taken = head - 1;
        }
      }
    }),
  );
});

test('a window that slides and grows equals the naive model, however often the ring comes round', () => {
  fc.assert(
    fc.property(fc.integer(), fc.integer({ min: 1, max: 300 }), (seed, window) => {
      const random = generator(seed);
      const watermark = new Watermark<number>();
      let open: number[] = [];
      let last = -1;
      for (let receipt = 0; receipt < 1_000;) {
        // The window opens slowly, so that the ring grows when its head is somewhere in the middle.
        if (open.length < Math.min(window, 20 + receipt / 3) && random() < 0.55) {
          open.push(watermark.register(receipt, receipt * 10));
          receipt++;
        } else if (open.length > 0) {
          const done = open[Math.floor(random() ** 2 * open.length)]; // the older, the likelier
          open = open.filter((sequence) => sequence !== done);
          watermark.complete(done ?? Number.NaN);
        }
        const head = open[0] ?? receipt;
        const seen = [watermark.span, watermark.inFlight, watermark.headSince, watermark.take()].join();
        const since = open.length === 0 ? null : head * 10;
        const passed = head - 1 > last ? head - 1 : undefined;
        if (seen !== [receipt - head, open.length, since, passed].join()) throw new Error(`${seen} at ${receipt}`);
        last = head - 1;
      }
    }),
    { numRuns: 20 },
  );
});

test('10,000 completion orders: every receipt that passes is the last one below the watermark', () => {
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const random = generator(seed);
      const order = Array.from({ length: 1 + Math.floor(random() * 100) }, (_, index) => ({ index, at: random() }));
      order.sort((a, b) => a.at - b.at);
      const watermark = new Watermark<number>();
      for (let receipt = 0; receipt < order.length; receipt++) watermark.register(receipt, 0);
      const done = new Uint8Array(order.length);
      let contiguous = 0;
      for (const { index } of order) {
        watermark.complete(index);
        done[index] = 1;
        const before = contiguous;
        while (done[contiguous] === 1) contiguous++;
        const taken = watermark.take();
        if (taken !== (contiguous > before ? contiguous - 1 : undefined)) throw new Error(`${taken} at ${contiguous}`);
      }
      return watermark.span === 0 && watermark.inFlight === 0;
    }),
    { numRuns: 10_000 },
  );
});

test('keeps no receipt that has passed', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const watermark = new Watermark<object>();
  const reference = new WeakRef(registerAndComplete(watermark));
  await new Promise((resolve) => void setImmediate(resolve)); // a WeakRef holds its target until the turn ends
  collect();
  expect(reference.deref()).toBeUndefined();
  expect(watermark.span).toBe(0);
});

function registerAndComplete(watermark: Watermark<object>): object {
  const receipt = {};
  watermark.complete(watermark.register(receipt, 0));
  watermark.take();
  return receipt;
}

/** Far cheaper than fast-check's own values, where a property needs thousands of them. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    return (state >>> 0) / 2 ** 32;
  };
}
