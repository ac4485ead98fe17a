import { DeadLetter, fixed, type Message, WaybillError } from '@waybill/core';
import type { CaseContext } from '../../case-context.ts';
import type { Stamped } from '../../case-types.ts';
import type { ConformanceCase } from '../../case.ts';
import { attempts, concurrency, guard, lost } from '../../checkers/index.ts';
import { shortDrain, Turnstile } from './turnstile.ts';

type Batch = readonly Message<Stamped>[];

const seqs = (batch: Batch): number[] => batch.map(({ payload }) => payload.seq);

/** Ids of what was dead-lettered and confirmed, in order. */
export function deadLettered(t: CaseContext, group: string): string[] {
  return t.history
    .of('send')
    .filter((send) => send.kind === 'dead-letter' && send.group === group)
    .flatMap((send) => send.ids.filter((_, index) => send.outcomes[index] === 'confirmed'));
}

export const batches: readonly ConformanceCase[] = [
  {
    id: 'F7.size-and-linger',
    guarantees: ['F7'],
    title: 'A batch is never larger than its size, goes at once when full, and else after its linger.',
    cost: 'slow',
    run: async (t: CaseContext) => {
      const size = 10;
      const linger = 3_000;
      const orders = t.topic('orders');
      const bus = await t.connect({ topics: [orders] });
      const seen: { readonly seqs: number[]; readonly at: number }[] = [];
      const options = { group: t.group('inventory'), batch: { size, linger } };
      const consumer = await t.consumeBatches(bus, orders, options, (messages: Batch) => {
        if (messages[0]?.payload.sentinel !== true) seen.push({ seqs: seqs(messages), at: t.now() });
      });
      const began = t.now();
      await t.load(bus, orders, { each: 3 * size });
      await t.until(() => consumer.distinct === 3 * size, 'full batches are handled');
      const full = t.now() - began;
      t.ok(full < linger, `full batches took ${full.toFixed(0)} ms; they wait for no linger of ${linger}`);
      for (const { seqs: of } of seen) t.equal(of.length, size, 'messages in a full batch');
      const published = t.now();
      await t.load(bus, orders, { each: 4 });
      await t.until(() => consumer.distinct === 3 * size + 4, 'a batch that does not fill is handled');
      const last = seen.at(-1);
      t.equal(last?.seqs.length, 4, 'messages in the last batch');
      const waited = (last?.at ?? 0) - published;
      t.ok(
        waited >= linger - 5 && waited <= linger + t.scaled(1_500),
        `it waited ${waited.toFixed(0)} ms; its linger is ${linger}`,
      );
      return t.judge(lost(), attempts(), guard({ confirmed: 3 * size + 4, returned: 3 * size + 4 }));
    },
  },
  {
    id: 'F7.concurrency-counts-batches',
    guarantees: ['F7', 'F1'],
    title: 'The concurrency of a batch subscription bounds the batches at once.',
    cost: 'slow',
    run: async (t: CaseContext) => {
      const size = 5;
      const limit = 3;
      const orders = t.topic('orders');
      const bus = await t.connect({ topics: [orders] });
      const gate = new Turnstile();
      const options = { group: t.group('inventory'), concurrency: limit, batch: { size }, ...shortDrain };
      const consumer = await t.consumeBatches(bus, orders, options, () => gate.enter());
      await t.load(bus, orders, { each: 60 });
      await t.until(() => gate.waiting === limit, 'as many batches run as may');
      t.equal(await t.settled(() => gate.waiting, 'batches at once'), limit, 'most batches at once');
      t.ok(consumer.count <= limit * size, `${consumer.count} messages are in handlers; at most ${limit * size}`);
      gate.open();
      await t.until(() => consumer.distinct === 60, 'all are handled');
      return t.judge(concurrency({ limit }), lost(), guard({ confirmed: 60, returned: 60 }));
    },
  },
  {
    id: 'F7.batch-failing-once-comes-again-whole',
    guarantees: ['F7', 'R1'],
    title: 'A batch that throws once comes again as it was, each message at its second attempt.',
    cost: 'quick',
    run: async (t: CaseContext) => {
      const size = 6;
      const orders = t.topic('orders');
      const group = t.group('inventory');
      await t.provision(orders, [group]);
      const bus = await t.connect({ topics: [orders] });
      await t.load(bus, orders, { each: size });
      const runs: number[][] = [];
      const options = { group, batch: { size, linger: '1s' as const }, retry: { attempts: 3, backoff: fixed(50) } };
      const consumer = await t.consumeBatches(bus, orders, options, (messages: Batch, context) => {
        runs.push(seqs(messages).toSorted((a, b) => a - b));
        const wanted = runs.length === 1 ? 1 : 2;
        for (const message of messages)
          t.equal(context.attemptOf(message), wanted, `the attempt in run ${runs.length}`);
        if (runs.length === 1) throw new Error('not yet');
      });
      await t.until(() => consumer.returned === size, 'all are handled');
      const whole = Array.from({ length: size }, (_, index) => index + 1);
      t.equal(runs, [whole, whole], 'the batches');
      t.equal(deadLettered(t, group), [], 'dead letters');
      return t.judge(lost(), attempts(), guard({ confirmed: size, threw: size, returned: size }));
    },
  },
  {
    id: 'F7.culprit-is-found-by-halving',
    guarantees: ['F7', 'R1'],
    title:
      'A batch that throws twice is halved until the culprit is alone: it is dead-lettered, its neighbours are not.',
    cost: 'quick',
    run: async (t: CaseContext) => {
      const size = 16;
      const culprit = 11;
      const orders = t.topic('orders');
      const group = t.group('inventory');
      await t.provision(orders, [group]);
      const bus = await t.connect({ topics: [orders] });
      const outcomes = await t.load(bus, orders, { each: size });
      const failed: number[] = [];
      const options = { group, batch: { size, linger: '1s' as const }, retry: { attempts: 3, backoff: fixed(10) } };
      const consumer = await t.consumeBatches(bus, orders, options, (messages: Batch) => {
        if (!messages.some(({ payload }) => payload.seq === culprit && payload.sentinel !== true)) return;
        failed.push(messages.length);
        throw new Error('the culprit is here');
      });
      await t.until(() => deadLettered(t, group).length > 0, 'something is dead-lettered');
      await t.until(() => consumer.returned === size - 1, 'its neighbours are handled');
      t.equal(failed.slice(0, 2), [size, size], 'messages in the first two batches that threw');
      t.equal(failed.includes(1), true, 'the culprit was alone in the end');
      for (const [index, length] of failed.entries())
        if (index >= 2)
          t.ok(
            length <= Math.max(1, Math.ceil((failed[index - 1] ?? 0) / 2)),
            `batches that threw: ${failed.join(', ')}`,
          );
      await t.sentinel(bus, orders, [consumer]);
      t.equal(
        deadLettered(t, group),
        outcomes.flatMap((one) => (one.seq === culprit ? [one.id] : [])),
        'dead letters',
      );
      return t.judge(lost(), guard({ confirmed: size, threw: size }));
    },
  },
  {
    id: 'F7.fail-has-its-own-attempts',
    guarantees: ['F7', 'R1'],
    title:
      'Failing one message with context.fail gives it its own attempts, delay and dead letter; the rest of its batch is acked.',
    cost: 'slow',
    run: async (t: CaseContext) => {
      const size = 10;
      const orders = t.topic('orders');
      const group = t.group('inventory');
      await t.provision(orders, [group]);
      const bus = await t.connect({ topics: [orders] });
      const outcomes = await t.load(bus, orders, { each: size });
      const codes: [string, number, string][] = [];
      bus.on('dead-lettered', ({ id, attempts: count, code }) => codes.push([id, count, code]));
      const seen = new Map<number, number[]>();
      const options = { group, batch: { size, linger: '500ms' as const }, retry: { attempts: 3, backoff: fixed(50) } };
      const consumer = await t.consumeBatches(bus, orders, options, (messages: Batch, context) => {
        for (const message of messages) {
          const { seq, sentinel } = message.payload;
          if (sentinel === true) continue;
          const attempt = context.attemptOf(message);
          seen.set(seq, [...(seen.get(seq) ?? []), attempt]);
          if (seq === 3 && attempt < 3) context.fail(message, new Error('not yet'));
          if (seq === 5) context.fail(message, new Error('never'));
          if (seq === 7) context.fail(message, new DeadLetter('useless'));
        }
      });
      await t.until(() => codes.length === 2 && seen.get(3)?.length === 3, 'each ends in its own way');
      await t.sentinel(bus, orders, [consumer]);
      const id = (seq: number): string => outcomes.find((one) => one.seq === seq)?.id ?? '';
      t.equal(
        codes.toSorted((a, b) => a[1] - b[1]),
        [
          [id(7), 1, 'dead-letter'],
          [id(5), 3, 'exhausted'],
        ],
        'dead letters',
      );
      for (let seq = 1; seq <= size; seq++)
        t.equal(seen.get(seq), seq === 3 || seq === 5 ? [1, 2, 3] : [1], `attempts of message ${seq}`);
      return t.judge(lost(), attempts(), guard({ confirmed: size, threw: 6 }));
    },
  },
  {
    id: 'F7.fail-too-late-is-refused',
    guarantees: ['F7', 'L3'],
    title: 'Calling context.fail after the batch has ended, or for a message of another batch, is a typed error.',
    cost: 'quick',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const bus = await t.connect({ topics: [orders] });
      const fails: ((message: Message<Stamped>) => void)[] = [];
      const messages: Message<Stamped>[] = [];
      const stranger: unknown[] = [];
      const options = { group: t.group('inventory'), batch: { size: 1 } };
      const consumer = await t.consumeBatches(bus, orders, options, (batch: Batch, context) => {
        const [before] = messages;
        try {
          if (before !== undefined) context.fail(before, new Error('another batch'));
        } catch (error) {
          stranger.push(error instanceof WaybillError ? error.code : error);
        }
        messages.push(...batch);
        fails.push((message) => context.fail(message, new Error('too late')));
      });
      await t.load(bus, orders, { each: 3, concurrency: 1 });
      await t.until(() => consumer.returned === 3, 'three batches have ended');
      t.equal(stranger, ['invalid', 'invalid'], 'what context.fail said of a message of another batch');
      const [fail] = fails;
      const [message] = messages;
      if (fail === undefined || message === undefined) return t.fail('no batch came');
      await t.expectError(() => Promise.resolve(fail(message)), 'closed');
      await t.sentinel(bus, orders, [consumer]);
      return t.judge(lost(), attempts(), guard({ confirmed: 3, returned: 3 }));
    },
  },
];
