/**
 * What an idempotent subscription (E1) asks of a store. A store keeps, per group and message id, one of two marks:
 * claimed (with a lease, so that a crashed claimant does not block for ever) and done (for the window).
 */
export interface IdempotencyStore {
  /** Where its marks live: shown by `doctor`, since a process's own memory protects nothing across a restart. */
  readonly scope: 'process' | 'shared';
  /** Atomic. `claimed`: run the handler. `done`: settle without it. `busy`: another run has it; ask again later. */
  claim(scope: string, id: string, leaseMs: number): Promise<'claimed' | 'done' | 'busy'> | 'claimed' | 'done' | 'busy';
  /** Prolongs a claim that is still ours. */
  extend?(scope: string, id: string, leaseMs: number): Promise<void> | void;
  /** The handler succeeded: remember it for `windowMs`. */
  done(scope: string, id: string, windowMs: number): Promise<void> | void;
  /** The handler failed: the next attempt may claim at once. */
  release(scope: string, id: string): Promise<void> | void;
}
