import type { DropPolicy } from '@waybill/core';
import type { CaseContext } from '../../case-context.ts';
import type { ConformanceCase } from '../../case.ts';
import { guard, unexpected } from '../../checkers/index.ts';
import { dropsOf, numbered, numbers } from './buffer.ts';
import { holding, Latch } from './wrapping.ts';

interface Offered {
  readonly taken: boolean[];
  readonly arrived: (number | null)[];
  readonly drops: Readonly<Record<string, number>>;
  readonly events: Readonly<Record<string, number>>;
}

/** Offers so many in one turn to a buffer of this size, while the broker takes nothing; then lets them go. */
async function offering(t: CaseContext, overflow: DropPolicy, size: number, count: number): Promise<Offered> {
  const samples = t.topic('samples', { delivery: 'best-effort', buffer: size, overflow });
  const latch = new Latch();
  const bus = await t.connect({ topics: [samples], wrap: holding(latch).wrap });
  const consumer = await t.consume(bus, samples, { group: t.group('inventory') });
  const events: Record<string, number> = {};
  bus.on('dropped', ({ reason }) => (events[reason] = (events[reason] ?? 0) + 1));
  const taken = Array.from({ length: count }, (_, index) => bus.offer(samples, numbered(t, index + 1)));
  latch.open();
  await t.until(() => bus.health().brokers['main']?.pending === 0, 'the buffer is empty');
  await t.sentinel(bus, samples, [consumer]);
  return { taken, arrived: numbers(consumer), drops: dropsOf(bus, samples), events };
}

const from = (first: number, last: number): number[] =>
  Array.from({ length: last - first + 1 }, (_, index) => first + index);

export const offer: readonly ConformanceCase[] = [
  {
    id: 'P6.drop-newest',
    guarantees: ['P6'],
    title: "A full best-effort buffer with 'drop-newest' drops what comes last, says so, and counts it.",
    cost: 'quick',
    run: async (t: CaseContext) => {
      const { taken, arrived, drops, events } = await offering(t, 'drop-newest', 10, 40);
      t.equal(
        taken,
        from(1, 40).map((seq) => seq <= 10),
        'what offer said',
      );
      t.equal(arrived, from(1, 10), 'what arrived');
      t.equal(
        [drops, events],
        [{ 'drop-newest': 30 }, { 'drop-newest': 30 }],
        'drops counted, by health and by events',
      );
      return t.judge(unexpected(), guard({ delivered: 10 }));
    },
  },
  {
    id: 'P6.drop-oldest',
    guarantees: ['P6'],
    title: "A full best-effort buffer with 'drop-oldest' keeps the newest and counts what it dropped.",
    cost: 'quick',
    run: async (t: CaseContext) => {
      const { taken, arrived, drops, events } = await offering(t, 'drop-oldest', 10, 40);
      t.equal(taken.includes(false), false, 'an offer was refused');
      t.equal(arrived, from(31, 40), 'what arrived');
      t.equal(
        [drops, events],
        [{ 'drop-oldest': 30 }, { 'drop-oldest': 30 }],
        'drops counted, by health and by events',
      );
      return t.judge(unexpected(), guard({ delivered: 10 }));
    },
  },
  {
    id: 'P6.sample',
    guarantees: ['P6'],
    title: "Above half of its buffer 'sample' keeps a part of what comes, and counts the rest.",
    cost: 'quick',
    run: async (t: CaseContext) => {
      const { taken, arrived, drops } = await offering(t, 'sample', 40, 140);
      const kept = from(1, 140).filter((seq) => taken[seq - 1] === true);
      t.equal(taken.slice(0, 20).includes(false), false, 'something was dropped below half of the buffer');
      t.ok(kept.length > 20 && kept.length <= 40, `${kept.length} of 140 were kept; a buffer of 40 samples above 20`);
      t.ok(
        kept.some((seq) => seq > 120),
        'the last ones are sampled too',
      );
      t.equal(arrived, kept, 'what arrived is what offer took');
      t.equal(
        Object.values(drops).reduce((sum, count) => sum + count, 0),
        140 - kept.length,
        'drops counted',
      );
      return t.judge(unexpected(), guard({ delivered: 21 }));
    },
  },
  {
    id: 'P6.offer-is-for-best-effort',
    guarantees: ['P6', 'P5'],
    title:
      'An offer to a reliable topic, of something invalid or after close is refused and counted, and never throws.',
    cost: 'quick',
    run: async (t: CaseContext) => {
      const reliable = t.topic('reliable');
      const samples = t.topic('samples', { delivery: 'best-effort' });
      const bus = await t.connect({ topics: [reliable, samples] });
      const consumer = await t.consume(bus, samples, { group: t.group('inventory') });
      t.allowLog(/offer to/);
      t.equal(bus.offer(reliable, numbered(t, 1)), false, 'an offer to a reliable topic');
      t.equal(dropsOf(bus, reliable), { failed: 1 }, 'its drops');
      t.equal(
        bus.offer(samples, numbered(t, 1), { headers: { 'waybill-id': 'x' } }),
        false,
        'an offer of something invalid',
      );
      t.equal(bus.offer(samples, numbered(t, 2)), true, 'a good offer');
      await t.until(() => consumer.distinct >= 1, 'the good one is delivered');
      await t.sentinel(bus, samples, [consumer]);
      t.equal(numbers(consumer), [2], 'what arrived');
      await bus.close();
      t.equal(bus.offer(samples, numbered(t, 3)), false, 'an offer after close');
      t.equal(
        t.history.of('send').some(({ topic }) => topic === reliable.name),
        false,
        'something was sent to the reliable topic',
      );
    },
  },
  {
    id: 'P6.offers-do-not-block',
    guarantees: ['P6'],
    title: 'Offers that wait for a broker which takes nothing do not grow without bound.',
    cost: 'quick',
    run: async (t: CaseContext) => {
      const samples = t.topic('samples', { delivery: 'best-effort', buffer: 100, overflow: 'drop-oldest' });
      const latch = new Latch();
      const held = holding(latch);
      const bus = await t.connect({ topics: [samples], wrap: held.wrap });
      const began = t.now();
      let most = 0;
      for (let seq = 1; seq <= 20_000; seq++) {
        bus.bus.offer(samples, numbered(t, seq));
        if (seq % 500 !== 0) continue;
        await t.pass(0);
        most = Math.max(most, bus.health().brokers['main']?.pending ?? 0);
      }
      t.measure('offersPerSecond', Math.round(20_000_000 / (t.now() - began)));
      const { inFlight, batch } = t.supports.publish;
      const bound = 100 + inFlight * Math.min(batch.messages, 100);
      t.ok(most <= bound, `${most} offers waited; a buffer of 100 and the calls under way hold at most ${bound}`);
      t.ok(most >= 100, 'the buffer was full');
      const dropped = Object.values(dropsOf(bus, samples)).reduce((sum, count) => sum + count, 0);
      t.ok(dropped >= 20_000 - bound, `only ${dropped} drops were counted`);
      latch.open();
      await t.until(() => bus.health().brokers['main']?.pending === 0, 'the buffer is empty');
      const sent = t.history.of('send').reduce((sum, { ids }) => sum + ids.length, 0);
      t.equal(sent + dropped, 20_000, 'sent and dropped together');
    },
  },
];
