import { fixed, memoryStore } from '@waybill/core';
import type { CaseContext } from '../../case-context.ts';
import type { ConformanceCase } from '../../case.ts';
import { attempts, duplicated, guard, lost } from '../../checkers/index.ts';
import { shortDrain, Turnstile } from '../flow/turnstile.ts';
import { allSettled, withoutBrokerDedup } from './copies.ts';

const once = () => duplicated({ forbidden: true, by: 'returned' });

export const idempotent: readonly ConformanceCase[] = [
  {
    id: 'E1.done-copy-is-acked-unhandled',
    guarantees: ['E1'],
    title: 'A copy of a message that was handled is settled without the handler.',
    cost: 'quick',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders], wrap: withoutBrokerDedup });
      const consumer = await t.consume(bus, orders, { group, idempotent: { store: memoryStore() } });
      const ids = Array.from({ length: 10 }, (_, index) => `${t.run}-${index}`);
      for (const [index, id] of ids.entries()) await t.publish(bus, orders, null, { id, seq: index + 1 });
      await t.until(() => consumer.returned === 10, 'all are handled');
      for (let copy = 0; copy < 2; copy++)
        for (const [index, id] of ids.entries()) await t.publish(bus, orders, null, { id, seq: index + 1 });
      await t.until(() => t.history.of('arrive').length >= 30, 'all copies arrive');
      await t.sentinel(bus, orders, [consumer]);
      await allSettled(t, group);
      t.equal(consumer.count, 10, 'handler runs');
      return t.judge(once(), lost(), attempts(), guard({ confirmed: 30, returned: 10 }));
    },
  },
  {
    id: 'E1.concurrent-copies-run-once',
    guarantees: ['E1'],
    title: 'Copies that arrive at several consumers at once run once; the others wait for it, and are settled.',
    cost: 'slow',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const store = memoryStore();
      const gate = new Turnstile();
      await t.provision(orders, [group]);
      const buses = [
        await t.connect({ topics: [orders], wrap: withoutBrokerDedup }),
        await t.connect({ topics: [orders] }),
      ];
      const [bus] = buses;
      if (bus === undefined) return t.fail('no bus');
      const options = { group, concurrency: 20, idempotent: { store }, ...shortDrain };
      const consumers = await Promise.all(buses.map((one) => t.consume(one, orders, options, () => gate.enter())));
      const ids = Array.from({ length: 6 }, (_, index) => `${t.run}-${index}`);
      for (let copy = 0; copy < 5; copy++)
        await Promise.all(ids.map((id, index) => t.publish(bus, orders, null, { id, seq: index + 1 })));
      const running = (): number => consumers.reduce((sum, consumer) => sum + consumer.running, 0);
      const returned = (): number => consumers.reduce((sum, consumer) => sum + consumer.returned, 0);
      await t.until(() => t.history.of('arrive').length >= 30 && running() >= 6, 'all copies have arrived');
      t.equal(await t.settled(running, 'handlers'), 6, 'handlers that run while 30 copies are there');
      gate.open();
      await t.until(() => returned() === 6, 'they end');
      await t.sentinel(bus, orders, consumers);
      await allSettled(t, group);
      return t.judge(duplicated({ forbidden: true }), lost(), attempts(), guard({ confirmed: 30, returned: 6 }));
    },
  },
  {
    id: 'E1.failed-run-frees-the-claim',
    guarantees: ['E1', 'R1'],
    title:
      'A run that failed does not count as handled: the next attempt runs at once, and its copies after it do not.',
    cost: 'quick',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const bus = await t.connect({ topics: [orders], wrap: withoutBrokerDedup });
      const retry = { attempts: 4, backoff: fixed(30) };
      const options = { group: t.group('inventory'), retry, idempotent: { store: memoryStore() } };
      const consumer = await t.consume(bus, orders, options, (_message, context) => {
        if (context.attempt < 3) throw new Error('not yet');
      });
      const ids = Array.from({ length: 5 }, (_, index) => `${t.run}-${index}`);
      for (const [index, id] of ids.entries()) await t.publish(bus, orders, null, { id, seq: index + 1 });
      await t.until(() => consumer.returned === 5, 'each is handled in the end');
      t.equal(consumer.threw, 10, 'runs that failed');
      for (const [index, id] of ids.entries()) await t.publish(bus, orders, null, { id, seq: index + 1 });
      await t.until(() => t.history.of('arrive').length >= 10, 'the copies arrive');
      await t.sentinel(bus, orders, [consumer]);
      t.equal([consumer.count, consumer.threw], [15, 10], 'handler runs, and those that failed');
      return t.judge(once(), lost(), attempts(), guard({ confirmed: 10, threw: 10 }));
    },
  },
  {
    id: 'E1.ids-do-not-collide',
    guarantees: ['E1'],
    title: 'The same message id in another topic or another group is another message, also in one store.',
    cost: 'quick',
    run: async (t: CaseContext) => {
      const topics = [t.topic('orders'), t.topic('emails')];
      const groups = [t.group('inventory'), t.group('fraud')];
      const store = memoryStore();
      const bus = await t.connect({ topics });
      const consumers = await Promise.all(
        topics.flatMap((topic) => groups.map((group) => t.consume(bus, topic, { group, idempotent: { store } }))),
      );
      for (let index = 1; index <= 5; index++)
        for (const topic of topics) await t.publish(bus, topic, null, { id: `${t.run}-${index}`, seq: index });
      await t.until(
        () => consumers.every((consumer) => consumer.returned === 5),
        'each group of each topic handles all',
      );
      for (const topic of topics)
        await t.sentinel(
          bus,
          topic,
          consumers.filter((consumer) => consumer.topic === topic.name),
        );
      return t.judge(once(), lost(), guard({ confirmed: 10, returned: 20 }));
    },
  },
  {
    id: 'E1.window-ends',
    guarantees: ['E1'],
    title: 'After its window a handled id is forgotten, and a copy is handled again.',
    cost: 'slow',
    run: async (t: CaseContext) => {
      const window = 1_500;
      const orders = t.topic('orders');
      const bus = await t.connect({ topics: [orders], wrap: withoutBrokerDedup });
      const options = { group: t.group('inventory'), idempotent: { store: memoryStore(), window } };
      const consumer = await t.consume(bus, orders, options);
      const id = `${t.run}-1`;
      const publish = (): Promise<unknown> => t.publish(bus, orders, null, { id, seq: 1 });
      await publish();
      await t.until(() => consumer.returned === 1, 'it is handled');
      await publish();
      await t.until(() => t.history.of('arrive').length === 2, 'a copy arrives');
      await t.settled(() => consumer.count, 'handler runs');
      t.equal(consumer.count, 1, 'handler runs inside the window');
      await t.pass(window);
      await publish();
      await t.until(() => consumer.returned === 2, 'a copy after the window is handled');
      return t.judge(duplicated(), lost(), guard({ confirmed: 3, returned: 2 }));
    },
  },
  {
    id: 'E1.redelivery-runs-once',
    guarantees: ['E1', 'D3'],
    title: 'A delivery that comes a second time from the broker is handled once.',
    cost: 'fault',
    faults: ['duplicate'],
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const bus = await t.connect({ topics: [orders] });
      const options = { group: t.group('inventory'), idempotent: { store: memoryStore() } };
      const consumer = await t.consume(bus, orders, options);
      await t.load(bus, orders, { each: 10 });
      await t.until(() => consumer.returned === 10, 'it works');
      const arrived = t.history.of('arrive').length;
      const heal = await t.fault.duplicate(20);
      await t.load(bus, orders, { each: 40 });
      await t.until(() => consumer.distinct === 50, 'all are handled');
      await t.until(() => t.history.of('arrive').length >= arrived + 60, 'twenty came twice');
      await heal();
      await t.sentinel(bus, orders, [consumer]);
      return t.judge(once(), lost(), attempts(), guard({ confirmed: 50, returned: 50, faults: 1 }));
    },
  },
];
