import { DeadLetter, fixed } from '@waybill/core';
import type { ConformanceCase } from '../../case.ts';
import { attempts, duplicated, guard, lost } from '../../checkers/index.ts';
import { deadLetters, heard } from './letters.ts';

export const exactAttempts: readonly ConformanceCase[] = [
  ...[1, 2, 3, 6].map((limit): ConformanceCase => ({
    id: `R1.attempts-then-dead-letter-${limit}`,
    guarantees: ['R1', 'R5'],
    title: `A message that fails is tried exactly ${limit} times, then dead-lettered, and then there is silence.`,
    cost: 'quick',
    run: async (t) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders] });
      const dead = heard(bus, 'dead-lettered');
      const retry = { attempts: limit, backoff: fixed(10) };
      // Of three, one always fails and one at its first run only, so that there are neighbours of every kind.
      const consumer = await t.consume(bus, orders, { group, retry }, ({ payload }, context) => {
        if (payload.seq % 3 === 0) throw new Error(`number ${payload.seq} is refused`);
        if (payload.seq % 3 === 1 && context.attempt === 1 && limit > 1) throw new Error('only once');
      });
      await t.load(bus, orders, { each: 30 });
      await t.until(() => dead.length >= 10, 'ten messages are dead-lettered');
      await t.until(() => consumer.returned >= 20, 'the others are handled');
      await t.sentinel(bus, orders, [consumer]);
      const letters = await deadLetters(t, bus, orders, group);
      t.equal(
        letters.map((one) => one.attempts),
        letters.map(() => limit),
        'attempts in the dead letters',
      );
      t.equal(letters.length, 10, 'dead letters');
      const threw = 10 * limit + (limit > 1 ? 10 : 0);
      t.equal(consumer.threw, threw, 'handler runs that failed');
      return t.judge(
        attempts({ expected: limit }),
        duplicated({ forbidden: true }),
        lost(),
        guard({ confirmed: 30, threw, returned: 20 }),
      );
    },
  })),
  {
    id: 'R1.requeued-attempts',
    guarantees: ['R1', 'R4', 'E2'],
    title: 'A message that is retried by a later copy keeps its count of attempts from copy to copy.',
    needs: { requeue: true },
    cost: 'quick',
    timeout: ({ requeue }) => 15_000 + 10 * (requeue.lateness + requeue.granularity),
    run: async (t) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders] });
      const dead = heard(bus, 'dead-lettered');
      const retry = { attempts: 5, backoff: fixed(20), mode: 'requeue' } as const;
      const consumer = await t.consume(bus, orders, { group, retry }, ({ payload }, context) => {
        if (payload.seq % 3 === 0) throw new Error('refused');
        if (payload.seq % 3 === 1 && context.attempt < 4) throw new Error('not yet');
      });
      // One at a time at first: copies of one message must not be taken for each other, wherever they lie.
      await t.publish(bus, orders, null, { seq: 1 });
      await t.until(() => consumer.returned >= 1, 'the first message is handled in the end');
      await t.load(bus, orders, { each: 30 });
      await t.until(() => dead.length >= 10 && consumer.returned >= 21, 'all are handled or dead-lettered');
      await t.sentinel(bus, orders, [consumer]);
      t.equal(
        dead.map((one) => one.attempts),
        dead.map(() => 5),
        'attempts of those dead-lettered',
      );
      t.equal(dead.length, 10, 'messages that were dead-lettered');
      t.equal(consumer.threw, 10 * 5 + 11 * 3, 'handler runs that failed');
      return t.judge(attempts({ expected: 5 }), duplicated({ forbidden: true }), lost(), guard({ confirmed: 31 }));
    },
  },
  {
    id: 'R1.no-further-attempt',
    guarantees: ['R1', 'R5'],
    title: 'A handler or a policy that says that another attempt is useless has the message dead-lettered at once.',
    cost: 'quick',
    run: async (t) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders] });
      const dead = heard(bus, 'dead-lettered');
      const retry = { attempts: 5, backoff: fixed(10), nonRetryable: (error: unknown) => error instanceof RangeError };
      const consumer = await t.consume(bus, orders, { group, retry }, ({ payload }) => {
        if (payload.seq % 4 === 0) throw new DeadLetter('no such customer', { code: 'customer-unknown' });
        if (payload.seq % 4 === 1) throw new DeadLetter('no reason');
        if (payload.seq % 4 === 2) throw new RangeError('out of range');
      });
      await t.load(bus, orders, { each: 20 });
      await t.until(() => dead.length >= 15, 'fifteen messages are dead-lettered');
      await t.sentinel(bus, orders, [consumer]);
      t.equal(consumer.count, 20, 'handler runs');
      const codes = (await deadLetters(t, bus, orders, group)).map((one) => one.code).toSorted();
      const expected = ['customer-unknown', 'dead-letter', 'non-retryable'].flatMap((code) =>
        Array.from({ length: 5 }, () => code),
      );
      t.equal(codes, expected, 'codes of the dead letters');
      return t.judge(attempts({ expected: 1 }), lost(), guard({ confirmed: 20, threw: 15 }));
    },
  },
  {
    id: 'R1.given-up-without-dead-letter',
    guarantees: ['R1'],
    title:
      'Without a dead-letter topic a message is dropped and counted after its last attempt, or stops the subscription unsettled.',
    cost: 'quick',
    run: async (t) => {
      const orders = t.topic('orders');
      const [drops, stops] = [t.group('drops'), t.group('stops')];
      const bus = await t.connect({ topics: [orders] });
      t.allowLog(/^stopped /);
      const dropped = heard(bus, 'dropped');
      const stopped = heard(bus, 'stopped');
      const retry = { attempts: 3, backoff: fixed(10) };
      const fails = ({ payload }: { payload: { seq: number } }): void => {
        if (payload.seq === 5) throw new Error('refused');
      };
      const missing = { group: t.group('unsaid'), deadLetter: false };
      await t.expectError(() => t.consume(bus, orders, missing), 'invalid');
      const dropping = await t.consume(
        bus,
        orders,
        { group: drops, retry, deadLetter: false, onExhausted: 'drop' },
        fails,
      );
      const stopping = await t.consume(
        bus,
        orders,
        { group: stops, retry, deadLetter: false, onExhausted: 'stop' },
        fails,
      );
      await t.load(bus, orders, { each: 10 });
      await t.until(
        () => dropped.length > 0 && stopped.length > 0,
        'one message is dropped, one stops its subscription',
      );
      await t.sentinel(bus, orders, [dropping]);
      t.equal(
        dropped.map((one) => [one.group, one.reason, one.count]),
        [[drops, 'exhausted', 1]],
        'what was dropped',
      );
      t.equal([dropping.threw, dropping.distinct], [3, 10], 'failed runs and messages where one is dropped');
      t.equal([stopping.threw, stopped[0]?.group], [3, stops], 'failed runs where one stops the subscription');
      t.equal(t.history.of('send').filter((one) => one.kind === 'dead-letter').length, 0, 'dead letters');
      await t.until(() => stopping.subscription.status === 'closed', 'the stopped subscription has ended');
      // It was kept: whoever comes next gets it.
      const next = await t.consume(await t.connect(), orders, { group: stops });
      await t.until(
        () => next.deliveries.some((one) => one.seq === 5),
        'the message comes again to the next subscription',
      );
      return t.judge(
        attempts({ durable: t.supports.settle.nack.attempts }),
        lost(),
        guard({ confirmed: 10, threw: 6 }),
      );
    },
  },
  {
    id: 'R1.attempts-across-a-crash',
    guarantees: ['R1', 'D5'],
    title: 'After a crash the count of attempts goes on where the broker keeps it, and starts again where it does not.',
    cost: 'slow',
    faults: ['crash-connection'],
    timeout: ({ deliver }) => 30_000 + 2 * deliver.redelivery.bound,
    run: async (t) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders] });
      const options = { group, retry: { attempts: 4, backoff: fixed(100) } };
      const doomed = await t.connect({ topics: [orders] });
      const first = await t.consume(doomed, orders, options, (_message, { attempt }) => {
        if (attempt <= 2) throw new Error('refused');
        return new Promise(() => {}); // the third run is under way when its process dies
      });
      await t.load(bus, orders, { each: 5 });
      await t.until(() => first.running === 5 && first.threw === 10, 'each message is in its third run');
      await t.fault.crash(doomed);
      const next = await t.connect({ topics: [orders] });
      const dead = heard(next, 'dead-lettered');
      const second = await t.consume(next, orders, options, () => {
        throw new Error('refused');
      });
      const total = 30_000 + t.supports.deliver.redelivery.bound;
      await t.until(() => dead.length >= 5, 'all are dead-lettered', { total });
      await t.straggle();
      const { durable } = t.supports.settle.attempts;
      t.equal(second.count, 5 * (durable ? 2 : 4), 'runs after the crash');
      return t.judge(attempts({ durable }), guard({ confirmed: 5, threw: 10, faults: 1, busyAtFault: true }));
    },
  },
  ...(['in-place', 'requeue'] as const).map((mode): ConformanceCase => ({
    id: `R4.one-owner-${mode}`,
    guarantees: ['R4', 'R1'],
    title: `The broker's own limits on redelivery neither shorten nor multiply a policy of 25 attempts (${mode}).`,
    ...(mode === 'requeue' ? { needs: { requeue: true } as const } : {}),
    cost: 'quick',
    timeout: ({ requeue }) => 15_000 + 30 * (requeue.by === 'refused' ? 0 : requeue.lateness + requeue.granularity),
    run: async (t) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders] });
      const dead = heard(bus, 'dead-lettered');
      // More than any broker's default: RabbitMQ's quorum queues drop a message after 20 returns.
      const limit = 25;
      const retry = { attempts: limit, backoff: fixed(2), mode };
      const consumer = await t.consume(bus, orders, { group, retry }, ({ payload }) => {
        if (payload.seq % 2 === 0) throw new Error('refused');
      });
      await t.load(bus, orders, { each: 8 });
      await t.until(() => dead.length >= 4, 'four messages are dead-lettered', { total: 60_000 });
      await t.sentinel(bus, orders, [consumer]);
      t.equal(consumer.threw, 4 * limit, 'handler runs that failed');
      const codes = (await deadLetters(t, bus, orders, group)).map((one) => `${one.code} ${one.attempts}`);
      t.equal(
        codes,
        Array.from({ length: 4 }, () => `exhausted ${limit}`),
        'dead letters: by core, none by the broker',
      );
      return t.judge(attempts({ expected: limit }), duplicated({ forbidden: true }), lost());
    },
  })),
];
