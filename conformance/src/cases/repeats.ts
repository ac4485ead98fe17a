import type { CaseContext } from '../case-context.ts';

/** Whether a second delivery without a fault is a violation: not where settled messages may repeat, as declared. */
export function once(t: CaseContext): boolean {
  return t.supports.settle.repeats === 'never';
}
