import type { CaseContext } from '../case-context.ts';

/** For a case that crashes one connection of this process: where only whole processes can be killed it is not-run. */
export function crashable(t: CaseContext): void {
  if (!t.fault.has('kill-consumer'))
    t.notRun('one connection of this process can not be killed here, only a whole consumer process');
}
