import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Adapter, Destination, OutgoingMessage, SendOutcome } from '../src/contract.ts';
import { PublishError, WaybillError } from '../src/errors.ts';
import { Events } from '../src/events.ts';
import { Link } from '../src/link.ts';
import { Publisher } from '../src/publisher.ts';
import type { Route } from '../src/route.ts';
import { FakeClock } from './fake-clock.ts';

const destination: Destination = {
  kind: 'topic',
  name: 'orders',
  topic: 'orders',
  group: null,
  partitions: null,
  ordered: true,
  address: null,
};

type Answer = 'confirmed' | 'throttled' | 'unknown' | 'denied';

interface Rig {
  readonly clock: FakeClock;
  readonly publisher: Publisher;
  readonly route: Route;
  /** What the broker stored, in order; a message stored twice stands here twice. */
  readonly stored: string[];
  readonly calls: string[][];
}

/**
 * A broker that answers as it is told, one answer per message sent; after the last it confirms everything. It keeps the
 * contract: once a message of a key is not confirmed, later ones of that key in the same call are skipped.
 */
async function rig(
  answers: Answer[],
  options: {
    messages?: number;
    inFlight?: number;
    buffer?: number;
    overflow?: 'block' | 'reject';
    /** Before this nothing can be sent. */
    provisioned?: Promise<void>;
  } = {},
): Promise<Rig> {
  const clock = new FakeClock();
  const stored: string[] = [];
  const calls: string[][] = [];
  const busy = new Set<string>();
  const adapter = {
    name: 'told',
    supports: {
      adapter: 'told',
      publish: {
        batch: { messages: options.messages ?? 4, bytes: 1e6 },
        inFlight: options.inFlight ?? 3,
        size: { text: 1e6, binary: 1e6 },
        headers: { count: null, bytes: null },
      },
    },
    connect: () => Promise.resolve({}),
    provision: () => options.provisioned ?? Promise.resolve(),
    close: () => Promise.resolve(),
    classify: (error: unknown) => (error as { code: string }).code,
    async publish(_: Destination, messages: readonly OutgoingMessage[]): Promise<SendOutcome[]> {
      calls.push(messages.map(({ id }) => id));
      const keys = new Set(messages.map(({ key }) => key as string));
      for (const key of keys) {
        expect(busy.has(key), `key ${key} has two unresolved calls`).toBe(false);
        busy.add(key);
      }
      await Promise.resolve();
      const failed = new Set<string | null>();
      const outcomes = messages.map(({ id, key }): SendOutcome => {
        if (failed.has(key)) return { status: 'skipped' };
        const answer = answers.shift() ?? 'confirmed';
        if (answer === 'confirmed' || (answer === 'unknown' && stored.length % 2 === 0)) stored.push(id);
        if (answer === 'confirmed') return { status: 'confirmed', position: null };
        failed.add(key);
        const error = Object.assign(new Error(answer), { code: answer === 'unknown' ? 'timeout' : answer });
        return { status: answer === 'unknown' ? 'unknown' : 'rejected', error };
      });
      for (const key of keys) busy.delete(key);
      return outcomes;
    },
  } as unknown as Adapter;
  const events = new Events(() => undefined);
  const link = new Link({
    name: 'main',
    adapter,
    clock,
    events,
    random: () => 0.5,
    connectTimeout: 1_000,
    reconnect: { min: 1, max: 1 },
  });
  await link.open();
  const publisher = new Publisher({
    link,
    events,
    bufferMessages: options.buffer ?? 10_000,
    bufferBytes: 1e9,
    overflow: options.overflow ?? 'block',
    timeout: 30_000,
  });
  const spec = { topology: 'create' as const, destination, retention: null, groups: [] };
  return { clock, publisher, route: publisher.route(destination, spec), stored, calls };
}

function message(id: string, key: string | null): OutgoingMessage {
  return {
    id,
    sendId: id,
    time: 0,
    key,
    type: null,
    source: null,
    contentType: null,
    headers: {},
    control: null,
    body: Buffer.from(id),
    partition: null,
    delay: 0,
  };
}

/** Lets everything run, turn by turn, moving the clock on while something still waits. */
async function settle<T>(clock: FakeClock, promises: readonly Promise<T>[]): Promise<PromiseSettledResult<T>[]> {
  let left = promises.length;
  for (const promise of promises)
    void promise.then(
      () => left--,
      () => left--,
    );
  for (let turn = 0; left > 0 && turn < 20_000; turn++) {
    await new Promise((resolve) => setImmediate(resolve));
    if (left > 0) await clock.advance(100);
  }
  expect(left, 'publishes that never ended').toBe(0);
  return Promise.allSettled(promises);
}

describe('publishing', () => {
  test('first copies of a key are stored in publish order, whatever the broker answers (P3)', async () => {
    const plan = fc.record({
      keys: fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 40, size: 'max' }),
      answers: fc.array(fc.constantFrom<Answer>('confirmed', 'confirmed', 'throttled', 'unknown', 'denied'), {
        maxLength: 60,
        size: 'max',
      }),
      messages: fc.integer({ min: 1, max: 6 }),
      inFlight: fc.integer({ min: 1, max: 4 }),
      buffer: fc.integer({ min: 1, max: 50 }),
    });
    await fc.assert(
      fc.asyncProperty(plan, async ({ keys, answers, ...options }) => {
        const { clock, publisher, route, stored } = await rig([...answers], options);
        const ids = keys.map((key, index) => `${key}${String(index).padStart(3, '0')}`);
        const results = await settle(
          clock,
          ids.map((id, index) => publisher.publish(route, message(id, keys[index] as string), true)),
        );
        for (const key of ['a', 'b', 'c']) {
          const first = [...new Set(stored.filter((id) => id.startsWith(key)))];
          expect(first).toEqual(first.toSorted());
        }
        results.forEach((result, index) => {
          const id = ids[index] as string;
          if (result.status === 'fulfilled') expect(stored, 'confirmed').toContain(id);
          else if ((result.reason as PublishError).outcome === 'rejected') expect(stored, 'rejected').not.toContain(id);
        });
        expect(publisher.pending).toBe(0);
      }),
      { numRuns: 300 },
    );
  });

  test('a key that ends in failure takes along what was accepted behind it, and only that', async () => {
    const { clock, publisher, route, stored } = await rig(['denied'], { inFlight: 1 });
    const publish = (id: string): Promise<unknown> => publisher.publish(route, message(id, id[0] as string), true);
    const results = await settle(clock, ['a1', 'a2', 'b1', 'a3'].map(publish));
    expect(
      results.map((result) => (result.status === 'fulfilled' ? 'confirmed' : (result.reason as PublishError).code)),
    ).toEqual(['denied', 'order', 'confirmed', 'order']);
    expect(stored).toEqual(['b1']);
    await settle(clock, [publish('a4')]);
    expect(stored, 'what is published after the failure was seen goes').toEqual(['b1', 'a4']);
  });

  test('an unknown outcome that can not be cleared ends unknown within the publish timeout', async () => {
    const { clock, publisher, route } = await rig(Array.from({ length: 1_000 }, (): Answer => 'unknown'));
    const [result] = await settle(clock, [publisher.publish(route, message('a1', 'a'), true)]);
    expect(result?.status).toBe('rejected');
    const error = (result as PromiseRejectedResult).reason as PublishError;
    expect([error.code, error.outcome, error.id]).toEqual(['timeout', 'unknown', 'a1']);
  });

  test('what was called rejected while the broker was waited for is not sent when it is there', async () => {
    let open = (): void => undefined;
    const provisioned = new Promise<void>((resolve) => (open = resolve));
    const { clock, publisher, route, stored } = await rig([], { provisioned });
    const [result] = await settle(clock, [publisher.publish(route, message('a1', 'a'), true)]);
    expect(((result as PromiseRejectedResult).reason as PublishError).outcome).toBe('rejected');
    open();
    await settle(clock, [publisher.publish(route, message('a2', 'a'), true)]);
    expect(stored).toEqual(['a2']);
  });

  test('batches form while one is in flight', async () => {
    const { clock, publisher, route, calls } = await rig([], { inFlight: 1, messages: 100 });
    const first = publisher.publish(route, message('a0', 'a'), true);
    await Promise.resolve();
    const rest = Array.from({ length: 50 }, (_, index) =>
      publisher.publish(route, message(`a${index + 1}`, 'a'), true),
    );
    await settle(clock, [first, ...rest]);
    expect(calls.map((call) => call.length)).toEqual([1, 50]);
  });

  test('over the high-water mark: reject says so, and block waits its turn', async () => {
    const full = await rig([], { buffer: 2, overflow: 'reject' });
    const results = await settle(
      full.clock,
      ['a1', 'a2', 'a3'].map((id) => full.publisher.publish(full.route, message(id, 'a'), true)),
    );
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected']);
    expect(((results[2] as PromiseRejectedResult).reason as PublishError).code).toBe('throttled');
    const patient = await rig([], { buffer: 2 });
    await settle(
      patient.clock,
      ['a1', 'a2', 'a3', 'a4'].map((id) => patient.publisher.publish(patient.route, message(id, 'a'), true)),
    );
    expect(patient.stored).toEqual(['a1', 'a2', 'a3', 'a4']);
  });

  test('a signal frees a publish that waits for room: rejected, nothing sent', async () => {
    const { clock, publisher, route, stored } = await rig(['throttled', 'throttled'], { buffer: 1 });
    const stop = new AbortController();
    const first = publisher.publish(route, message('a1', 'a'), true);
    const second = publisher.publish(route, message('a2', 'a'), true, stop.signal);
    stop.abort();
    await expect(second).rejects.toMatchObject({ outcome: 'rejected', id: 'a2' });
    await settle(clock, [first]);
    expect(stored).toEqual(['a1']);
  });

  test('close refuses what comes after it and waits for the rest', async () => {
    const { clock, publisher, route, stored } = await rig(['throttled']);
    const first = publisher.publish(route, message('a1', 'a'), true);
    const closed = publisher.close();
    await expect(publisher.publish(route, message('a2', 'a'), true)).rejects.toSatisfy(
      (error) => WaybillError.is(error) && error.code === 'closed',
    );
    await settle<unknown>(clock, [first, closed]);
    expect(stored).toEqual(['a1']);
  });
});

test('a caller that gives up a message in its turn takes along what was accepted behind it', async () => {
  const { clock, publisher, route, stored } = await rig(['throttled', 'throttled'], { inFlight: 1 });
  const stop = new AbortController();
  const first = publisher.publish(route, message('a1', 'a'), true, stop.signal);
  const second = publisher.publish(route, message('a2', 'a'), true);
  const other = publisher.publish(route, message('b1', 'b'), true);
  await new Promise((resolve) => setImmediate(resolve));
  stop.abort();
  await expect(first).rejects.toMatchObject({ outcome: 'rejected', id: 'a1' });
  await expect(second).rejects.toMatchObject({ code: 'order', outcome: 'rejected', id: 'a2' });
  await settle(clock, [other]);
  expect(stored).toEqual(['b1']);
});
