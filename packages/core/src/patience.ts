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
