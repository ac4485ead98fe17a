export { attempts, type AttemptsOptions } from './attempts.ts';
export { content } from './content.ts';
export { duplicated, type DuplicatedOptions, resettled, type ResettledOptions } from './duplicated.ts';
export { gapCommitted } from './gap-committed.ts';
export { guard, type GuardOptions } from './guard.ts';
export { lost, type LostOptions } from './lost.ts';
export { overlapped, type OverlappedOptions, reordered, type ReorderedOptions } from './order.ts';
export { phantom, recovered, unexpected, type UnexpectedOptions } from './outcomes.ts';
export { concurrency, held, heldBytes, type HeldOptions, type LimitOptions } from './over-limit.ts';
export { pending } from './pending.ts';
export { positions } from './positions.ts';
export type { Scope } from './scope.ts';
export {
  backoff,
  type BackoffOptions,
  delayed,
  type DelayedOptions,
  expiredInTime,
  type Measured,
  redelivered,
  type RedeliveredOptions,
  timing,
} from './timing.ts';
