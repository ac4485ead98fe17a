import { ERROR_CODES, type ErrorCode, WaybillError } from '@waybill/core';
import type { Adapter, SendOutcome } from '@waybill/core/adapter';
import type { CaseContext } from '../../case-context.ts';
import type { ConformanceCase } from '../../case.ts';
import { guard, pending, phantom } from '../../checkers/index.ts';
import { tampered } from '../flow/tampered.ts';

const codes = Object.keys(ERROR_CODES) as ErrorCode[];

/** What no client throws on purpose, and any may. */
function strangers(): unknown[] {
  const circular: Record<string, unknown> = { message: 'circular' };
  circular['cause'] = circular;
  const hostile = {
    get message(): string {
      throw new Error('a getter that throws');
    },
  };
  return [
    undefined,
    null,
    '',
    'text',
    0,
    Number.NaN,
    true,
    Symbol('s'),
    {},
    [],
    circular,
    hostile,
    () => undefined,
    Object.create(null),
  ];
}

export const errorCodes: readonly ConformanceCase[] = [
  {
    id: 'L4.classify-is-total',
    guarantees: ['L4'],
    title: 'Whatever a client throws gets a known code: never an exception, never silence.',
    cost: 'quick',
    run: async (t: CaseContext) => {
      let adapter: Adapter | null = null;
      await t.connect({ wrap: (inner) => (adapter = inner) });
      const given: Adapter = adapter ?? t.fail('no adapter');
      for (const stranger of strangers()) {
        let code: unknown;
        try {
          code = given.classify(stranger);
        } catch (error) {
          t.fail(`classify of ${typeof stranger} threw ${String(error)}`);
        }
        t.equal(code, 'unclassified', `the code of a ${stranger === null ? 'null' : typeof stranger} that was thrown`);
      }
      for (const code of codes)
        t.equal(given.classify(new WaybillError(code, 'ours')), code, `the code of our own '${code}'`);
      t.equal(given.classify(new Error('nobody knows this one')), 'unclassified', 'the code of an unknown error');
      t.equal(given.classify(new DOMException('aborted', 'AbortError')), 'timeout', 'the code of an aborted call');
      t.equal(given.classify(new DOMException('late', 'TimeoutError')), 'timeout', 'the code of a timed-out call');
    },
  },
  {
    id: 'L4.unclassified-is-said',
    guarantees: ['L4', 'P2'],
    title:
      'An error that no adapter knows is tried again, then reported as unclassified with what was said: never swallowed.',
    cost: 'slow',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      let tries = 0;
      const bus = await t.connect({
        topics: [orders],
        config: { publish: { timeout: '1s' } },
        wrap: (adapter) =>
          tampered(adapter, {
            publish: (_destination, messages): Promise<readonly SendOutcome[]> => {
              tries += 1;
              return Promise.resolve(messages.map(() => ({ status: 'rejected', error: new Error('a riddle') })));
            },
          }),
      });
      const failed: string[] = [];
      bus.on('publish-failed', ({ outcome, error }) => failed.push(`${outcome} ${error.message}`));
      const outcome = await t.within(t.publish(bus, orders), 'the publish ends', 10_000);
      t.equal(outcome.status, 'rejected', 'the outcome');
      t.ok(
        outcome.status !== 'confirmed' && outcome.error.message.includes('a riddle'),
        'the error tells what was said',
      );
      t.ok(tries > 1, `it was tried ${tries} times`);
      t.ok(failed.length === 1 && failed[0]?.includes('a riddle') === true, `the event tells it: ${failed.join('; ')}`);
      return t.judge(pending(), guard({ rejected: 1 }));
    },
  },
  {
    id: 'L4.codes-reach-the-user',
    guarantees: ['L4', 'P2'],
    title: 'The code of what the broker refused for good is the code that the publisher gets, at once.',
    cost: 'quick',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      let next: ErrorCode = 'denied';
      let tries = 0;
      const bus = await t.connect({
        topics: [orders],
        wrap: (adapter) =>
          tampered(adapter, {
            publish: (_destination, messages): Promise<readonly SendOutcome[]> => {
              tries += 1;
              return Promise.resolve(
                messages.map(() => ({ status: 'rejected', error: new WaybillError(next, `refused as ${next}`) })),
              );
            },
          }),
      });
      const final = codes.filter((code) => !ERROR_CODES[code].retriable);
      for (const code of final) {
        next = code;
        tries = 0;
        const outcome = await t.within(t.publish(bus, orders), `the publish refused as ${code} ends`, 10_000);
        t.equal(
          outcome.status === 'confirmed' ? null : outcome.error.code,
          code,
          `the code of a publish refused as ${code}`,
        );
        t.equal(tries, 1, `tries of a publish refused as ${code}`);
      }
      t.ok(final.length >= 5, 'codes that are final');
      return t.judge(pending(), phantom(), guard({ rejected: final.length }));
    },
  },
  {
    id: 'L4.broken-connection-has-a-code',
    guarantees: ['L4', 'L1'],
    title: "What this broker's client throws when its connection breaks is classified.",
    cost: 'fault',
    faults: ['cut'],
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const bus = await t.connect({
        topics: [orders],
        config: { publish: { timeout: '2s' }, reconnect: { max: '200ms' } },
      });
      const consumer = await t.consume(bus, orders, { group: t.group('inventory') });
      await t.load(bus, orders, { each: 5 });
      await t.until(() => consumer.distinct === 5, 'it works');
      const seen: ErrorCode[] = [];
      for (const event of ['disconnected', 'reconnecting', 'resubscribing', 'publish-failed', 'error'] as const)
        bus.on(event, ({ error }) => seen.push(error.code));
      const heal = await t.fault.cut();
      const outcomes = await t.within(t.load(bus, orders, { each: 10 }), 'publishes into the cut end', 20_000);
      await heal();
      await t.until(() => bus.health().status === 'ready', 'it is ready again');
      for (const outcome of outcomes) if (outcome.status !== 'confirmed') seen.push(outcome.error.code);
      t.ok(seen.length >= 3, `${seen.length} errors were seen`);
      const known: readonly ErrorCode[] = ['disconnected', 'unavailable', 'timeout'];
      t.equal(
        [...new Set(seen)].filter((code) => !known.includes(code)),
        [],
        'codes that a broken connection should not have',
      );
      return t.judge(pending(), guard({ confirmed: 5, faults: 1 }));
    },
  },
];
