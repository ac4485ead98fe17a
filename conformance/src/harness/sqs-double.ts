import { loadAdapterPackage } from '@waybill/core';
import type { Adapter } from '@waybill/core/adapter';
import { SqsDouble, type SqsFault } from '@waybill/testbed';
import { type Harness, type Heal, NotAble } from '../target.ts';

/**
 * SQS as our own double plays it, in this process. It can refuse sends and repeat deliveries, which no emulator can be
 * asked for; what it passes is no proof of AWS.
 */
export async function sqsDoubleHarness(
  name: 'sqs' | 'sqs-fifo',
  fanout: 'direct' | 'sns' = 'direct',
): Promise<Harness> {
  const adapters = await loadAdapterPackage('@waybill/sqs', 'the suite on SQS');
  const double = await SqsDouble.start();
  const keys = new Map<Adapter, string>();
  const make = (key: string): Adapter =>
    adapters.createAdapter({
      url: double.endpoint.replace('http://', `${name}+http://${key}:secret@`),
      options: { groupRefresh: 0, pollWait: '1s', lease: '3s', fanout },
      client: 'waybill-suite',
    });
  const keysOf = (made: readonly Adapter[]): { keys?: readonly string[] } =>
    made.length === 0 ? {} : { keys: made.map((one) => keys.get(one) ?? '') };
  const strike = (fault: SqsFault, count: number, made: readonly Adapter[]): Heal => {
    const end = double.inject(fanout === 'sns' ? 'PublishBatch' : 'SendMessageBatch', fault, {
      count,
      ...keysOf(made),
    });
    return async () => end();
  };
  return {
    name: fanout === 'sns' ? `${name}-double-sns` : `${name}-double`,
    how: 'embedded',
    kind: 'double',
    supports: make('first').supports,
    adapter: () => {
      const key = `key${keys.size + 1}`;
      const made = make(key);
      keys.set(made, key);
      return made;
    },
    address: (group) => `${group}${name === 'sqs-fifo' ? '.fifo' : ''}`,
    faults: {
      'unknown-outcome': async ({ adapters: made, count, stored }) =>
        strike({ kind: 'lose', what: stored ? 'answer' : 'request' }, count, made),
      'reject-sends': async ({ adapters: made, count, refusal }) => {
        const code = refusal === 'permanent' ? 'InvalidParameterValue' : 'ThrottledException';
        const fail = () => ({ code, senderFault: refusal === 'permanent', done: false });
        return strike({ kind: 'entries', fail }, count, made);
      },
      duplicate: async ({ count }) => {
        if (name === 'sqs-fifo') throw new NotAble('FIFO queues give nothing twice');
        double.repeat(count);
        return async () => double.repeat(0);
      },
    },
    close: () => double[Symbol.asyncDispose](),
  };
}
