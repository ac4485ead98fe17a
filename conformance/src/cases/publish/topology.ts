import type { CaseContext } from '../../case-context.ts';
import type { ConformanceCase } from '../../case.ts';
import { guard, lost } from '../../checkers/index.ts';

export const topologies: readonly ConformanceCase[] = [
  {
    id: 'P5.verify-refuses-a-missing-topic',
    guarantees: ['P5'],
    title:
      "With topology 'verify' a missing topic is an error that names it, at connect and at first use; nothing is made.",
    cost: 'quick',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const config = { topology: 'verify' } as const;
      const stamp = { run: t.run, case: t.id, key: null, seq: 1 };
      const error = await t.expectError(t.connect({ topics: [orders], config }), 'not-found');
      t.ok(error.message.includes(orders.name), `the error names the topic: ${error.message}`);
      const bus = await t.connect({ config });
      const refused = await t.expectError(bus.publish(orders, stamp), 'not-found');
      t.equal('outcome' in refused && refused.outcome, 'rejected', 'the outcome of a publish');
      await t.expectError(t.consume(bus, orders, { group: t.group('inventory') }), 'not-found');
      t.equal(
        t.history
          .of('send')
          .flatMap(({ outcomes }) => outcomes)
          .includes('confirmed'),
        false,
        'something was stored',
      );
      // Had any of these made it, it would be there now.
      await t.expectError(t.connect({ topics: [orders], config }), 'not-found');
      await t.provision(orders, [t.group('inventory')]);
      const verified = await t.connect({ topics: [orders], config });
      t.equal((await t.publish(verified, orders)).status, 'confirmed', 'a publish to the topic that is there');
    },
  },
  {
    id: 'P5.none-rejects-a-missing-topic',
    guarantees: ['P5', 'P2'],
    title: "With topology 'none' a publish to a missing topic is rejected with a code, and makes nothing.",
    cost: 'quick',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const bus = await t.connect({ config: { topology: 'none', publish: { timeout: '3s' } } });
      const outcomes = await t.load(bus, orders, { each: 5 });
      const said = outcomes.map((one) =>
        one.status === 'confirmed' ? 'confirmed' : `${one.status} ${one.error.code}`,
      );
      t.equal([...new Set(said)], ['rejected not-found'], 'outcomes');
      await t.expectError(t.connect({ topics: [orders], config: { topology: 'verify' } }), 'not-found');
      await t.provision(orders, [t.group('inventory')]);
      t.equal((await t.publish(bus, orders)).status, 'confirmed', 'a publish once the topic is there');
    },
  },
  {
    id: 'P5.create-before-sending',
    guarantees: ['P5', 'D1'],
    title: "With topology 'create' a topic is made before anything is sent to it, by whoever comes first.",
    cost: 'quick',
    run: async (t: CaseContext) => {
      const named = t.topic('named');
      const found = t.topic('found');
      const verify = { topology: 'verify' } as const;
      await t.provision(named, [t.group('fraud')]);
      await t.connect({ topics: [named], config: verify });
      // Ten connections at once, none of which has named it.
      const buses = await Promise.all(Array.from({ length: 10 }, () => t.connect()));
      const group = t.group('inventory');
      const consumers = await Promise.all(buses.slice(5).map((bus) => t.consume(bus, found, { group })));
      await Promise.all(buses.map((bus) => t.load(bus, found, { each: 10 })));
      const come = (): number => consumers.reduce((sum, consumer) => sum + consumer.distinct, 0);
      await t.until(() => come() >= 100, 'all 100 are delivered');
      await t.connect({ topics: [found], config: verify });
      return t.judge(lost({ topic: found }), guard({ confirmed: 100 }));
    },
  },
  {
    id: 'P5.publisher-only',
    guarantees: ['P5', 'D1'],
    title: 'A program that only publishes needs no subscription; groups that were provisioned get everything later.',
    cost: 'quick',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const config = { topics: { [orders.name]: { groups: [group] } } };
      const bus = await t.connect({ topics: [orders], config });
      await t.load(bus, orders, { each: 100 });
      await bus.close();
      const reader = await t.connect({ topics: [orders] });
      const consumer = await t.consume(reader, orders, { group });
      await t.delivered(orders, [consumer]);
      await t.sentinel(reader, orders, [consumer]);
      return t.judge(lost({ since: 'all' }), guard({ confirmed: 100 }));
    },
  },
  {
    id: 'P5.provisioning-twice',
    guarantees: ['P5', 'D1'],
    title: 'Provisioning again changes nothing: what waits for a group stays there.',
    cost: 'quick',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      for (let round = 1; round <= 3; round++) {
        await Promise.all([t.provision(orders, [group]), t.provision(orders, [group])]);
        const bus = await t.connect({ topics: [orders] });
        await t.load(bus, orders, { each: 20 });
        await bus.close();
      }
      await t.provision(orders, [group]);
      const bus = await t.connect({ topics: [orders] });
      const consumer = await t.consume(bus, orders, { group });
      await t.delivered(orders, [consumer]);
      await t.sentinel(bus, orders, [consumer]);
      return t.judge(lost({ since: 'all' }), guard({ confirmed: 60 }));
    },
  },
];
