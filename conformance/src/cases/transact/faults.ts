import type { CaseContext } from '../../case-context.ts';
import type { CaseHandler, Stamped } from '../../case-types.ts';
import type { ConformanceCase } from '../../case.ts';
import { guard, lost } from '../../checkers/index.ts';
import { gate } from '../gate.ts';
import { flowOf } from './results.ts';

const needs = { transactions: true } as const;
const one = (): number => 1;

/** What was under way when a consumer died is first undone by the broker, then handed to the next. */
const patience = (t: Pick<CaseContext, 'supports'>): { total: number } => ({
  total: 30_000 + 2 * t.supports.deliver.redelivery.bound,
});

export const transactFaults: readonly ConformanceCase[] = [
  {
    id: 'T1.killed-mid-flow',
    guarantees: ['T1', 'D5'],
    title: 'After a transactional consumer was killed, and killed again, each message has one result.',
    needs,
    cost: 'fault',
    faults: ['kill-consumer'],
    timeout: ({ deliver }) => 90_000 + 4 * deliver.redelivery.bound,
    run: async (t) => {
      const { orders, results, bus, reader } = await flowOf(t);
      const options = { group: t.group('inventory'), transactional: true, concurrency: 8 };
      const last = 400 * t.scale;
      await t.provision(orders, [options.group]);
      await t.load(bus, orders, { each: last });
      // One never ends: where settlement is cumulative, what is behind it in its partition is done and not settled.
      const script = { does: 'block', seqs: [3], takes: 2, results: results.name } as const;
      for (const share of [4, 2]) {
        const doomed = await t.spawn(orders, options, script);
        await t.until(() => reader.count > last / share - last / 8, 'some have results', patience(t));
        await doomed.kill();
      }
      await t.spawn(orders, options, { does: 'return', results: results.name });
      await t.until(() => reader.count >= last, 'each has a result', patience(t));
      await reader.exactly(bus, one, last);
      return t.judge(lost({ topic: orders, since: 'all' }), guard({ topic: orders, confirmed: last }));
    },
  },
  {
    id: 'T2.thrown-out-commits-nothing',
    guarantees: ['T2', 'T1', 'R9'],
    title: 'A consumer that has lost its messages before it settles them stores no result of them.',
    needs,
    cost: 'fault',
    faults: ['take-over'],
    run: async (t) => {
      const { orders, results, bus, reader } = await flowOf(t);
      const zombies = gate();
      const options = { group: t.group('inventory'), transactional: true, concurrency: 40 };
      const consumer = await t.consume(bus, orders, options, async ({ payload }, context, { nth }) => {
        await context.publish(results, payload);
        if (nth === 1) await zombies.opened;
      });
      await t.load(bus, orders, { each: 20 });
      await t.until(() => consumer.running === 20, 'all are being handled');
      await t.fault.takeOver(consumer);
      zombies.open(); // at once, so that they end before anybody here has heard of it
      await t.until(() => reader.count >= 20, 'each has a result', patience(t));
      await reader.exactly(bus, one, 20);
      t.ok(consumer.count > 20, 'messages came again');
      return t.judge(lost({ topic: orders }), guard({ topic: orders, confirmed: 20, faults: 1, busyAtFault: true }));
    },
  },
  {
    id: 'T2.woken-up-commits-nothing',
    guarantees: ['T2', 'O3'],
    title: 'A process that was stopped past its session and woken up stores no result of what others have handled.',
    needs,
    cost: 'fault',
    faults: ['stop-consumer', 'kill-consumer'],
    timeout: ({ deliver }) => 90_000 + 4 * deliver.redelivery.bound,
    run: async (t) => {
      const { orders, results, bus, reader } = await flowOf(t);
      const options = { group: t.group('inventory'), transactional: true, concurrency: 8 };
      const last = 200;
      await t.provision(orders, [options.group]);
      await t.load(bus, orders, { each: last });
      const zombie = await t.spawn(orders, options, { does: 'return', takes: 20, results: results.name });
      await t.until(() => reader.count > 20, 'some have results', patience(t));
      await zombie.stop();
      const next = await t.spawn(orders, options, { does: 'return', takes: 20, results: results.name });
      await t.until(() => next.returned > 0, 'the next consumer has begun', patience(t));
      await zombie.wake();
      await t.until(() => reader.count >= last, 'each has a result', patience(t));
      await reader.exactly(bus, one, last);
      return t.judge(guard({ topic: orders, confirmed: last }));
    },
  },
  {
    id: 'T1.answer-lost',
    guarantees: ['T1', 'P2'],
    title: 'When the answer to a transaction is lost, each of its messages has its result all the same, and only one.',
    needs,
    cost: 'fault',
    faults: ['unknown-outcome'],
    run: async (t) => {
      const { orders, results, bus, reader } = await flowOf(t);
      const held = gate();
      const handle: CaseHandler<Stamped> = async ({ payload }, context) => {
        await context.publish(results, payload);
        await held.opened;
      };
      const options = { group: t.group('inventory'), transactional: true, concurrency: 30 };
      const consumer = await t.consume(bus, orders, options, handle);
      await t.load(bus, orders, { each: 30 });
      await t.until(() => consumer.running === 30, 'all are being handled');
      const heal = await t.fault.unknownOutcome(1);
      held.open();
      await t.until(() => reader.count >= 30, 'each has a result', patience(t));
      await heal();
      await reader.exactly(bus, one, 30);
      return t.judge(lost({ topic: orders }), guard({ topic: orders, confirmed: 30, faults: 1, busyAtFault: true }));
    },
  },
];
