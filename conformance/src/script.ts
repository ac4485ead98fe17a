import { setTimeout as sleep } from 'node:timers/promises';
import { topic } from '@waybill/core';
import type { CaseHandler, ConsumerScript, Stamped } from './case-types.ts';

/**
 * The handler that a script describes.
 *
 * @param die Ends the process, or what stands for it: by `exit` or by `kill`.
 */
export function scripted(script: ConsumerScript, die: (how: 'exit' | 'kill') => unknown): CaseHandler<Stamped> {
  const results = script.results === undefined ? null : topic<Stamped>(script.results);
  return async (message, context): Promise<void> => {
    if (results !== null) await context.publish(results, message.payload);
    if (script.takes !== undefined) await sleep(script.takes);
    if (script.seqs !== undefined && !script.seqs.includes(message.payload.seq)) return;
    switch (script.does) {
      case 'return':
        return;
      case 'throw':
        throw new Error('the script says so');
      case 'block':
        await forever();
        return;
      default:
        await die(script.does);
        await forever();
    }
  };
}

function forever(): Promise<never> {
  return new Promise(() => {});
}
