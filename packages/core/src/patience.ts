import type { SendOutcome } from './contract.ts';

/** Waits for this promise, so many milliseconds at most (null: without a limit), or until the signal fires. Never rejects. */
export function patiently(promise: Promise<unknown>, ms: number | null, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = ms === null ? undefined : setTimeout(done, ms);
    signal?.addEventListener('abort', done);
    if (signal?.aborted === true) done();
    promise.then(done, done);
  });
}

/**
 * The outcomes of a publish; when the signal fires before, nobody knows any. For clients that can't take back what they
 * were given.
 */
export async function untilAborted(
  sending: Promise<readonly SendOutcome[]>,
  messages: readonly unknown[],
  signal: AbortSignal,
): Promise<readonly SendOutcome[]> {
  await patiently(sending, null, signal);
  if (!signal.aborted) return sending;
  return messages.map(() => ({ status: 'unknown', error: signal.reason as unknown }));
}
