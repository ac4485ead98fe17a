import type { CaseContext } from '../../case-context.ts';
import type { ConformanceCase } from '../../case.ts';
import { content, duplicated, guard, lost, phantom, unexpected } from '../../checkers/index.ts';
import { once } from '../repeats.ts';

export const atLeastOnce: readonly ConformanceCase[] = [
  {
    id: 'D1.before-and-after-subscribe',
    guarantees: ['D1', 'P1'],
    title: 'A group that was provisioned gets what was published before it subscribed and what comes after.',
    cost: 'quick',
    run: async (t) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      await t.provision(orders, [group]);
      const bus = await t.connect({ topics: [orders] });
      await t.load(bus, orders, { each: 100 });
      const consumer = await t.consume(bus, orders, { group });
      await t.load(bus, orders, { each: 100 });
      await t.delivered(orders, [consumer]);
      await t.sentinel(bus, orders, [consumer]);
      return t.judge(
        lost({ since: 'all' }),
        unexpected(),
        duplicated({ forbidden: once(t) }),
        guard({ confirmed: 200 }),
      );
    },
  },
  {
    id: 'D1.twenty-topics',
    guarantees: ['D1', 'D2'],
    title: 'Twenty topics over one connection: each is complete, and nothing comes out of another.',
    cost: 'slow',
    run: async (t) => {
      const topics = Array.from({ length: 20 }, (_, index) => t.topic(`topic${index}`));
      const bus = await t.connect({ topics });
      const group = t.group('inventory');
      const consumers = await Promise.all(topics.map((topic) => t.consume(bus, topic, { group })));
      await Promise.all(topics.map((topic) => t.load(bus, topic, { each: 100 })));
      await t.until(() => consumers.every((consumer) => consumer.distinct >= 100), 'every topic is complete');
      await Promise.all(topics.map((topic, index) => t.sentinel(bus, topic, consumers.slice(index, index + 1))));
      return t.judge(lost(), unexpected(), content(), guard({ confirmed: 2_000, returned: 2_000 }));
    },
  },
  {
    id: 'D1.subscribe-again',
    guarantees: ['D1', 'L2'],
    title: 'After its close a subscription gets nothing more, though messages are published; the next one gets them.',
    cost: 'slow',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders] });
      let expected = 0;
      const seen = new Set<string>();
      for (let round = 0; round < 4; round++) {
        const consumer = await t.consume(bus, orders, { group }, ({ id }) => void seen.add(id));
        await t.load(bus, orders, { each: 20 });
        expected += 20;
        await t.until(() => seen.size >= expected, `${expected} are delivered in round ${round + 1}`);
        await consumer.close();
        const { count } = consumer;
        await t.load(bus, orders, { each: 20 });
        expected += 20;
        await t.straggle(300);
        t.equal(consumer.count, count, 'handler runs of a closed subscription');
      }
      const last = await t.consume(bus, orders, { group }, ({ id }) => void seen.add(id));
      await t.until(() => seen.size >= expected, `all ${expected} are delivered`);
      await t.sentinel(bus, orders, [last]);
      return t.judge(lost({ since: 'all' }), duplicated({ forbidden: once(t) }), guard({ confirmed: 160 }));
    },
  },
  {
    id: 'D1.opened-and-closed-at-once',
    guarantees: ['D1', 'L2'],
    title: 'Subscriptions that are closed while they open leave nothing behind: a fresh one gets everything.',
    cost: 'slow',
    run: async (t) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders] });
      const passing = Array.from({ length: 10 }, async () => {
        const consumer = await t.consume(bus, orders, { group });
        await consumer.close();
      });
      await Promise.all(passing);
      await t.load(bus, orders, { each: 50 });
      const consumer = await t.consume(bus, orders, { group });
      await t.delivered(orders, [consumer], { total: 30_000 + 2 * t.supports.deliver.redelivery.bound });
      await t.sentinel(bus, orders, [consumer]);
      return t.judge(lost({ since: 'all' }), guard({ confirmed: 50 }));
    },
  },
  {
    id: 'D1.in-portions',
    guarantees: ['D1', 'D5', 'L2'],
    title: 'A backlog read in portions, with close and reopen between them: none lost, none handled twice.',
    cost: 'slow',
    run: async (t) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      await t.provision(orders, [group]);
      const bus = await t.connect({ topics: [orders] });
      const total = 3_000;
      await t.load(bus, orders, { each: total, concurrency: 200 });
      const seen = new Set<string>();
      for (let portion = 1; portion <= 6; portion++) {
        const reader = await t.connect({ topics: [orders] });
        await t.consume(reader, orders, { group }, ({ id }) => void seen.add(id));
        await t.until(() => seen.size >= (total * portion) / 6, `portion ${portion} is read`);
        await reader.close();
      }
      await t.until(() => seen.size >= total, 'all are delivered');
      return t.judge(
        lost({ since: 'all' }),
        unexpected(),
        duplicated({ forbidden: once(t) }),
        guard({ confirmed: total }),
      );
    },
  },
  {
    id: 'D1.group-made-under-flow',
    guarantees: ['D1', 'D7'],
    title:
      'A group that is made while producers run gets everything published after it stood, within the declared window.',
    needs: { 'deliver.fanout': true },
    cost: 'slow',
    run: async (t) => {
      const orders = t.topic('orders');
      const bus = await t.connect({ topics: [orders] });
      const producer = await t.connect({ topics: [orders] });
      const first = await t.consume(bus, orders, { group: t.group('first') });
      const stop = new AbortController();
      const flow = t.load(producer, orders, { each: Number.POSITIVE_INFINITY, gap: 1, signal: stop.signal });
      const confirmed = (): number => t.history.of('publish.confirmed').length;
      await t.until(() => confirmed() >= 100, 'the flow has begun');
      const joined = await t.connect({ topics: [orders] });
      const groups = [t.group('provisioned'), t.group('subscribed')] as const;
      await t.provision(orders, [groups[0]]);
      await t.consume(joined, orders, { group: groups[1] });
      const { window } = t.supports.deliver.fanout;
      await t.pass(window);
      const before = confirmed();
      await t.until(() => confirmed() >= before + 300, 'the flow goes on');
      stop.abort();
      const published = (await flow).filter(({ status }) => status === 'confirmed');
      const late = await t.consume(joined, orders, { group: groups[0] });
      await t.until(() => first.distinct >= published.length, 'the first group has all');
      await t.sentinel(bus, orders, [first, late]);
      await t.drainAll(orders, groups);
      return t.judge(lost({ window }), unexpected(), guard({ confirmed: 400 }));
    },
  },
  {
    id: 'D1.topic-without-a-group',
    guarantees: ['D1', 'P2'],
    title:
      "A message for a topic without a group is kept for the first one, or rejected 'not-found'; never confirmed and gone.",
    cost: 'quick',
    run: async (t) => {
      const orders = t.topic('orders');
      const bus = await t.connect({ topics: [orders] });
      const outcomes = await t.load(bus, orders, { each: 30 });
      const said = [
        ...new Set(
          outcomes.map((one) => (one.status === 'confirmed' ? 'confirmed' : `${one.status} ${one.error.code}`)),
        ),
      ];
      const kept = t.supports.publish.unrouted === 'kept';
      t.equal(said, [kept ? 'confirmed' : 'rejected not-found'], 'outcomes without a group');
      const consumer = await t.consume(bus, orders, { group: t.group('first') });
      await t.load(bus, orders, { each: 10 });
      const due = kept ? 40 : 10;
      await t.delivered(orders, [consumer]);
      await t.sentinel(bus, orders, [consumer]);
      return t.judge(kept ? lost({ since: 'all' }) : phantom(), unexpected(), guard({ confirmed: due }));
    },
  },
];
