export interface Timer {
  /** Idempotent; harmless after it has fired. */
  cancel(): void;
}

/** Time as core sees it. A parameter everywhere, so that unit tests never sleep. */
export interface Clock {
  /** Wall clock, ms since the epoch: for times that leave the process. It may jump. */
  now(): number;
  /** Milliseconds since some start, never backwards: for leases, deadlines and delays. */
  monotonic(): number;
  /** Calls `callback` once, never before `ms` have passed on the monotonic clock. Of any length. */
  setTimer(callback: () => void, ms: number): Timer;
}

/** Node's timers take no more; above it they fire at once. */
const longestTimeout = 2 ** 31 - 1;

/**
 * The real clock. Its timers hold the process, as an open socket does: an open bus is work in progress, on the memory
 * broker too, and a program that waits for a publish must not end early. `close` cancels them all (L2).
 */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  setTimer(callback, ms) {
    const due = performance.now() + ms;
    let handle: NodeJS.Timeout;
    const arm = (left: number): void => {
      handle = setTimeout(fire, Math.min(left, longestTimeout));
    };
    const fire = (): void => {
      const left = due - performance.now(); // Node fires up to a millisecond early
      if (left > 0) arm(Math.ceil(left));
      else callback();
    };
    arm(Math.ceil(ms));
    return { cancel: () => clearTimeout(handle) };
  },
};
