import type { CaseContext } from '../../case-context.ts';
import type { ConformanceCase } from '../../case.ts';
import { guard, phantom } from '../../checkers/index.ts';

/** What a method does after close: the typed error, or, where that is documented, its work. */
type After = 'closed' | 'works';

/** Every public method that the object has, its class's getters left out. */
function methodsOf(object: object): string[] {
  const prototype: object = Object.getPrototypeOf(object) as object;
  return Reflect.ownKeys(prototype)
    .filter(
      (name) =>
        name !== 'constructor' && typeof Reflect.getOwnPropertyDescriptor(prototype, name)?.value === 'function',
    )
    .map(String)
    .toSorted();
}

type Table = readonly (readonly [method: string, after: After, call: () => unknown])[];

async function judgeTable(t: CaseContext, what: string, table: Table): Promise<void> {
  for (const [method, after, call] of table) {
    const run = async (): Promise<unknown> => await call();
    if (after === 'works') {
      await run().catch((error: unknown) => t.fail(`${what}.${method} after close: ${String(error)}`));
      t.ok(true, method);
      continue;
    }
    const error = await t.expectError(run, 'closed');
    t.ok(error.message.length > 8, `${what}.${method} says what was closed: '${error.message}'`);
  }
}

export const closed: readonly ConformanceCase[] = [
  {
    id: 'L3.every-method-after-close',
    guarantees: ['L3'],
    title: 'Every public method of a closed bus, subscription and dead-letter view gives the same typed error.',
    cost: 'quick',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const offers = t.topic('offers', { delivery: 'best-effort' });
      const [group, other] = [t.group('inventory'), t.group('other')];
      const { bus, close } = await (async () => {
        const connection = await t.connect({ topics: [orders, offers] });
        return { bus: connection.bus, close: () => connection.close() };
      })();
      const subscription = await bus.subscribe(orders, { group }, () => undefined);
      const letters = bus.dlq(orders, group);
      const stamp = { run: t.run, case: t.id, key: null, seq: 1 };
      await t.within(close(), 'the bus closes');

      const ofBus: Table = [
        ['publish', 'closed', () => bus.publish(orders, stamp)],
        ['publishMany', 'closed', () => bus.publishMany(orders, [stamp])],
        ['offer', 'works', () => t.equal(bus.offer(offers, stamp), false, 'what offer says after close')],
        ['subscribe', 'closed', () => bus.subscribe(orders, { group: other }, () => undefined)],
        ['subscribe', 'closed', () => bus.subscribe(orders, { group: other, batch: { size: 5 } }, () => undefined)],
        ['replay', 'closed', () => bus.replay(orders, { group: other, from: 'earliest' }, () => undefined)],
        ['lag', 'closed', () => bus.lag(orders, group)],
        ['reset', 'closed', () => bus.reset(orders, group, 'latest')],
        ['dlq', 'closed', () => bus.dlq(orders, group)],
        ['use', 'closed', () => bus.use({})],
        ['on', 'works', () => bus.on('closed', () => undefined)()],
        ['health', 'works', () => t.equal(bus.health().status, 'closed', 'the health after close')],
        ['describe', 'works', () => bus.describe()],
        ['drain', 'works', () => bus.drain()],
        ['close', 'works', () => bus.close()],
        [String(Symbol.asyncDispose), 'works', () => bus[Symbol.asyncDispose]()],
        ['prepare', 'works', () => undefined], // core's own: `connect` calls it before anybody has the bus
      ];
      t.equal(
        [...new Set(ofBus.map(([method]) => method))].toSorted(),
        methodsOf(bus),
        'methods of a bus in this table',
      );
      await judgeTable(t, 'bus', ofBus);

      const ofSubscription: Table = [
        ['pause', 'closed', () => subscription.pause()],
        ['resume', 'closed', () => subscription.resume()],
        ['setConcurrency', 'closed', () => subscription.setConcurrency(3)],
        ['seek', 'closed', () => subscription.seek('earliest')],
        ['lag', 'closed', () => subscription.lag()],
        ['drain', 'works', () => subscription.drain()],
        ['close', 'works', () => subscription.close()],
        [String(Symbol.asyncDispose), 'works', () => subscription[Symbol.asyncDispose]()],
      ];
      t.equal(
        ofSubscription.map(([method]) => method).toSorted(),
        methodsOf(subscription),
        'methods of a subscription in this table',
      );
      await judgeTable(t, 'subscription', ofSubscription);
      t.equal(
        [subscription.status, subscription.held, subscription.running],
        ['closed', 0, 0],
        'its status, held and running',
      );

      const ofLetters: Table = [
        ['list', 'closed', () => letters.list()],
        ['peek', 'closed', () => letters.peek('some-id')],
        ['redrive', 'closed', () => letters.redrive({ all: true })],
        ['purge', 'closed', () => letters.purge()],
      ];
      t.equal(
        ofLetters.map(([method]) => method).toSorted(),
        methodsOf(letters),
        'methods of a dead-letter view in this table',
      );
      await judgeTable(t, 'dlq', ofLetters);
      t.equal(t.history.of('send').length, 0, 'sends');
    },
  },
  {
    id: 'L3.closed-subscription-on-an-open-bus',
    guarantees: ['L3'],
    title: 'A closed subscription refuses further calls, while its bus and the group go on.',
    cost: 'quick',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders] });
      const consumer = await t.consume(bus, orders, { group });
      await consumer.close();
      const { subscription } = consumer;
      const table: Table = [
        ['pause', 'closed', () => subscription.pause()],
        ['resume', 'closed', () => subscription.resume()],
        ['setConcurrency', 'closed', () => subscription.setConcurrency(3)],
        ['seek', 'closed', () => subscription.seek('earliest')],
        ['lag', 'closed', () => subscription.lag()],
        ['close', 'works', () => subscription.close()],
      ];
      await judgeTable(t, 'subscription', table);
      const next = await t.consume(bus, orders, { group });
      await t.load(bus, orders, { each: 5 });
      await t.until(() => next.distinct === 5, 'the next subscription of the group gets all');
      t.equal(consumer.count, 0, 'handler runs of the closed one');
      return t.judge(guard({ confirmed: 5, returned: 5 }));
    },
  },
  {
    id: 'L3.rejected-after-close-is-not-stored',
    guarantees: ['L3', 'P2'],
    title: 'A publish after close is rejected as closed, and stored nowhere.',
    cost: 'quick',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      await t.provision(orders, [group]);
      const bus = await t.connect({ topics: [orders] });
      await t.load(bus, orders, { each: 3 });
      await bus.close();
      const outcomes = await t.load(bus, orders, { each: 5 });
      for (const outcome of outcomes)
        t.equal(
          [outcome.status, outcome.status === 'confirmed' ? '' : outcome.error.code],
          ['rejected', 'closed'],
          'an outcome after close',
        );
      const other = await t.connect({ topics: [orders] });
      const consumer = await t.consume(other, orders, { group });
      await t.until(() => consumer.distinct === 3, 'what was published before is there');
      await t.sentinel(other, orders, [consumer]);
      return t.judge(phantom(), guard({ confirmed: 3, rejected: 5 }));
    },
  },
];
