import { type StandardSchema, schemaOf } from './schemas.ts';
import type { CaseContext } from '../../case-context.ts';
import type { ConformanceCase } from '../../case.ts';
import { duplicated, guard, lost, pending, phantom, unexpected } from '../../checkers/index.ts';
import { once } from '../repeats.ts';
import { WaybillError } from '@waybill/core';
import { intercepting } from './wrapping.ts';

interface Line {
  readonly text: string;
}

const lines: StandardSchema<Line> = schemaOf<Line>((value) =>
  typeof (value as Partial<Line>).text === 'string' ? null : 'text must be a string',
);

/** Larger limits are not tried: the memory of this process is the suite's too. */
export const largestTried: number = 32 * 1024 * 1024;

export const outcomes: readonly ConformanceCase[] = [
  {
    id: 'P2.one-outcome-per-message',
    guarantees: ['P2', 'P5'],
    title: 'A batch with an oversized, an invalid and good messages has one outcome for each, in order.',
    cost: 'quick',
    declinedBy: ({ publish }) =>
      publish.size.text <= largestTried ? null : 'publish.size.text is above what the suite tries',
    run: async (t: CaseContext) => {
      const orders = t.topicOf<Line>('orders', { schema: lines });
      const bus = await t.connect({ topics: [orders] });
      const consumer = await t.consume(bus, orders, { group: t.group('inventory') });
      const huge = { text: 'x'.repeat(t.supports.publish.size.text) };
      const invalid = { text: 7 } as unknown as Line;
      const good = Array.from({ length: 12 }, (_, index) => ({ text: `line ${index}` }));
      const payloads = [good[0], huge, good[1], invalid, ...good.slice(2), huge, invalid] as readonly Line[];
      const results = await bus.publishMany(orders, payloads);
      t.equal(
        results.map((result) =>
          result.status === 'confirmed' ? 'confirmed' : `${result.status} ${result.error.code}`,
        ),
        payloads.map((payload) =>
          payload === huge ? 'rejected too-large' : payload === invalid ? 'rejected invalid' : 'confirmed',
        ),
        'outcomes in the order of the payloads',
      );
      t.equal(new Set(results.map(({ id }) => id)).size, payloads.length, 'different ids');
      const texts = new Set<string>();
      await t.until(() => consumer.distinct >= good.length, 'the good ones are delivered');
      await t.straggle();
      for (const { id } of consumer.deliveries) texts.add(id);
      const confirmed = results.flatMap((result) => (result.status === 'confirmed' ? [result.id] : []));
      t.equal([...texts].toSorted(), confirmed.toSorted(), 'ids delivered');
      return t.judge(unexpected(), lost(), guard({ confirmed: 12, rejected: 4 }));
    },
  },
  {
    id: 'P2.array-is-one-payload',
    guarantees: ['P2', 'P4'],
    title: 'An array given to publish is one payload; publishMany makes one message of each element.',
    cost: 'quick',
    run: async (t: CaseContext) => {
      const orders = t.topicOf<readonly number[] | number>('orders');
      const bus = await t.connect({ topics: [orders] });
      const payloads: unknown[] = [];
      const consumer = await t.consume(bus, orders, { group: t.group('inventory') }, ({ payload }) => {
        payloads.push(payload);
      });
      await bus.publish(orders, [1, 2, 3]);
      await t.until(() => consumer.distinct === 1, 'the array is delivered');
      await bus.publishMany(orders, [4, 5, 6]);
      await t.until(() => consumer.distinct >= 4, 'the elements are delivered');
      await t.straggle();
      t.equal(payloads[0], [1, 2, 3], 'the first payload');
      t.equal(new Set(payloads.slice(1)), new Set([4, 5, 6]), 'the other payloads');
      t.equal(await bus.publishMany(orders, []), [], 'outcomes of nothing');
    },
  },
  {
    id: 'P2.neighbours-of-a-refused-message',
    guarantees: ['P2', 'P1'],
    title: 'When the broker refuses some messages of a batch, the others are confirmed and arrive.',
    cost: 'quick',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      // Every fifth of each call is refused, and not sent.
      const refused = new Set<string>();
      const wrap = intercepting(async (messages, send) => {
        const passed = messages.filter((message, index) => {
          if (index % 5 !== 2) return true;
          refused.add(message.id);
          return false;
        });
        const results = passed.length === 0 ? [] : await send(passed);
        return messages.map((message) => {
          const at = passed.indexOf(message);
          return results[at] ?? { status: 'rejected', error: new WaybillError('denied', 'this one is refused') };
        });
      });
      const bus = await t.connect({ topics: [orders], wrap });
      const consumer = await t.consume(bus, orders, { group: t.group('inventory') });
      const all = await t.load(bus, orders, { each: 100 });
      t.ok(refused.size >= 10 || t.supports.publish.batch.messages === 1, `only ${refused.size} were refused`);
      for (const outcome of all) {
        const wanted = refused.has(outcome.id) ? 'rejected denied' : 'confirmed';
        const said = outcome.status === 'confirmed' ? 'confirmed' : `${outcome.status} ${outcome.error.code}`;
        t.equal(said, wanted, `outcome of #${outcome.seq}`);
      }
      const passed = 100 - refused.size;
      await t.delivered(orders, [consumer]);
      await t.straggle();
      return t.judge(refused.size > 0 ? phantom() : pending(), lost(), unexpected(), guard({ confirmed: passed }));
    },
  },
  {
    id: 'P2.passing-refusals-are-sent-again',
    guarantees: ['P2', 'P1', 'F6'],
    title: 'Messages that the broker could not take for a moment are sent again, and confirmed.',
    cost: 'fault',
    faults: ['reject-sends'],
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const bus = await t.connect({ topics: [orders] });
      const consumer = await t.consume(bus, orders, { group: t.group('inventory') });
      await t.load(bus, orders, { each: 20 });
      const heal = await t.fault.rejectSends(15, { refusal: 'passing' });
      const all = await t.load(bus, orders, { each: 100 });
      await heal();
      t.equal(all.filter(({ status }) => status !== 'confirmed').length, 0, 'outcomes that are not confirmed');
      await t.delivered(orders, [consumer]);
      await t.sentinel(bus, orders, [consumer]);
      return t.judge(lost(), duplicated({ forbidden: once(t) }), guard({ confirmed: 120, faults: 1 }));
    },
  },
  {
    id: 'P2.unknown-sends-are-repeated',
    guarantees: ['P2', 'P1'],
    title: 'A send whose answer was lost is repeated until it is confirmed; nothing is lost.',
    cost: 'fault',
    faults: ['unknown-outcome'],
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const bus = await t.connect({ topics: [orders] });
      const consumer = await t.consume(bus, orders, { group: t.group('inventory') });
      await t.load(bus, orders, { each: 20 });
      for (const stored of [true, false]) {
        const heal = await t.fault.unknownOutcome(5, { stored });
        const all = await t.load(bus, orders, { each: 50 });
        await heal();
        t.equal(all.filter(({ status }) => status !== 'confirmed').length, 0, 'outcomes that are not confirmed');
      }
      await t.delivered(orders, [consumer]);
      await t.sentinel(bus, orders, [consumer]);
      const sent = t.history
        .of('send')
        .flatMap(({ ids, sendIds }) => ids.map((id, index) => `${id} ${sendIds[index]}`));
      t.ok(sent.length > new Set(sent).size, 'no send was repeated under its sendId');
      // Where the broker knows the sendId it stores each once.
      const forbidden = t.supports.publish.dedup.by !== 'refused';
      return t.judge(lost(), unexpected(), duplicated({ forbidden }), guard({ confirmed: 120, faults: 2 }));
    },
  },
  {
    id: 'P2.batches-within-the-maximum',
    guarantees: ['P2'],
    title: 'Publishes that are made together are sent in batches, none larger than the broker takes.',
    cost: 'slow',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const { messages, bytes } = t.supports.publish.batch;
      const bus = await t.connect({ topics: [orders] });
      const consumer = await t.consume(bus, orders, { group: t.group('inventory') });
      const total = Math.min(2 * messages + 10, 4_000);
      // Large enough that the bytes of a full batch would be too many, where that is affordable.
      const size = Math.min(Math.ceil((2 * bytes) / total), 32 * 1024, t.supports.publish.size.text - 1_024);
      const data = 'x'.repeat(size);
      await t.load(bus, orders, { each: total, concurrency: total, data: () => data });
      await t.delivered(orders, [consumer]);
      const sends = t.history.of('send').filter(({ kind }) => kind === 'topic');
      const most = Math.max(...sends.map(({ ids }) => ids.length));
      t.ok(most <= messages, `a batch of ${most} messages was sent; allowed: ${messages}`);
      const allowed = Math.floor(bytes / size);
      t.ok(
        most <= Math.max(1, allowed),
        `a batch of ${most} messages of ${size} bytes was sent; allowed: ${bytes} bytes`,
      );
      if (messages > 1 && allowed > 1)
        t.ok(sends.length <= total / 2, `${total} messages went in ${sends.length} calls: no batches were made`);
      t.measure('largestBatch', most);
      return t.judge(lost(), guard({ confirmed: total }));
    },
  },
];
