import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { Inbox } from '../src/inbox.ts';
import { FakeClock } from './fake-clock.ts';

const never = new AbortController().signal;

const setUp = (): { clock: FakeClock; inbox: Inbox<number> } => {
  const clock = new FakeClock();
  return { clock, inbox: new Inbox<number>(clock) };
};

test('hands out at once what is there, no more than asked for, in order', async () => {
  const { clock, inbox } = setUp();
  for (const item of [1, 2, 3]) expect(inbox.push(item)).toBe(true);
  expect(await inbox.receive(2, never)).toEqual([1, 2]);
  expect(inbox.size).toBe(1);
  expect(await inbox.receive(2, never)).toEqual([3]);
  expect(clock.pending).toBe(0);
});

test('a waiting receive gets all that is pushed in one turn', async () => {
  const { clock, inbox } = setUp();
  const received = inbox.receive(2, never);
  await clock.advance(10);
  for (const item of [1, 2, 3]) inbox.push(item);
  expect(await received).toEqual([1, 2]);
  expect(clock.pending).toBe(0);
  expect(inbox.size).toBe(1);
});

test('resolves empty after the wait, a second by default', async () => {
  const { clock, inbox } = setUp();
  let answer: number[] | undefined;
  void inbox.receive(1, never).then((items) => (answer = items));
  await clock.advance(999);
  expect(answer).toBeUndefined();
  await clock.advance(1);
  expect(answer).toEqual([]);
  const short = inbox.receive(1, never, 50);
  await clock.advance(50);
  expect(await short).toEqual([]);
  expect(clock.pending).toBe(0);
});

test('an abort ends the wait and takes nothing', async () => {
  const { clock, inbox } = setUp();
  const controller = new AbortController();
  const received = inbox.receive(1, controller.signal);
  inbox.push(1);
  controller.abort();
  expect(await received).toEqual([]);
  expect(await inbox.receive(1, controller.signal)).toEqual([]);
  expect([inbox.size, clock.pending]).toEqual([1, 0]);
  const waiting = new AbortController();
  expect(await inbox.receive(9, never)).toEqual([1]);
  const idle = inbox.receive(1, waiting.signal);
  waiting.abort();
  expect(await idle).toEqual([]);
  expect(clock.pending).toBe(0);
});

test('leaves no listener on a signal that outlives many waits', async () => {
  const { clock, inbox } = setUp();
  const signal = new AbortController().signal;
  let listeners = 0;
  const counted = new Proxy(signal, {
    get(target, property) {
      if (property === 'addEventListener') listeners++;
      if (property === 'removeEventListener') listeners--;
      const value: unknown = Reflect.get(target, property, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
  for (let round = 0; round < 3; round++) {
    const received = inbox.receive(1, counted);
    expect(listeners).toBe(1);
    if (round === 0) await clock.advance(1_000);
    else inbox.push(round);
    await received;
    expect(listeners).toBe(0);
  }
});

test('refuses a second receive while one waits', async () => {
  const { clock, inbox } = setUp();
  const first = inbox.receive(1, never);
  await expect(inbox.receive(1, never)).rejects.toMatchObject({ code: 'invalid' });
  inbox.push(1);
  expect(await first).toEqual([1]);
  const again = inbox.receive(1, never);
  await clock.advance(1_000);
  expect(await again).toEqual([]);
});

test('fail hands out what came before it, then rejects for ever', async () => {
  const { inbox } = setUp();
  const lost = new Error('channel closed');
  inbox.push(1);
  inbox.fail(lost);
  inbox.fail(new Error('a later one'));
  expect(inbox.push(2)).toBe(false);
  expect(await inbox.receive(5, never)).toEqual([1]);
  await expect(inbox.receive(5, never)).rejects.toBe(lost);
  await expect(inbox.receive(5, never)).rejects.toBe(lost);
});

test('fail wakes a waiting receive', async () => {
  const { clock, inbox } = setUp();
  const received = inbox.receive(1, never);
  const lost = new Error('channel closed');
  inbox.fail(lost);
  await expect(received).rejects.toBe(lost);
  expect(clock.pending).toBe(0);
  const { inbox: other } = setUp();
  const both = other.receive(1, never);
  other.push(1);
  other.fail(lost);
  expect(await both).toEqual([1]);
});

test('close returns the rest, ends a wait empty, and refuses use', async () => {
  const { clock, inbox } = setUp();
  inbox.push(1);
  inbox.push(2);
  expect(inbox.close()).toEqual([1, 2]);
  expect(inbox.close()).toEqual([]);
  expect(inbox.push(3)).toBe(false);
  await expect(inbox.receive(1, never)).rejects.toMatchObject({ code: 'closed' });

  const { inbox: waiting } = setUp();
  const received = waiting.receive(1, never);
  waiting.push(1);
  expect(waiting.close()).toEqual([1]);
  expect(await received).toEqual([]);
  expect(clock.pending).toBe(0);
});

test('nothing is lost, repeated or reordered between push, receive and close', async () => {
  const step = fc.oneof(
    fc.record({ push: fc.integer({ min: 1, max: 5 }) }),
    fc.record({ receive: fc.integer({ min: 1, max: 4 }), abort: fc.boolean() }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40, size: 'max' }), async (steps) => {
      const { clock, inbox } = setUp();
      const out: number[] = [];
      let pushed = 0;
      for (const one of steps) {
        if ('push' in one) for (let count = 0; count < one.push; count++) inbox.push(pushed++);
        else {
          const controller = new AbortController();
          const received = inbox.receive(one.receive, controller.signal, 10);
          if (one.abort) controller.abort();
          else await clock.advance(10);
          const items = await received;
          expect(items.length).toBeLessThanOrEqual(one.receive);
          out.push(...items);
        }
        expect(inbox.size).toBe(pushed - out.length);
      }
      out.push(...inbox.close());
      expect(out).toEqual([...Array(pushed).keys()]);
      expect(clock.pending).toBe(0);
    }),
  );
});
