import { setTimeout as sleep } from 'node:timers/promises';

export interface UntilOptions {
  /** Milliseconds. */
  readonly deadline: number;
  /** Milliseconds between two tries. Default 50. */
  readonly every?: number;
  /** Says why it is of no use to wait any longer: the process has ended. */
  readonly died?: () => string | null | Promise<string | null>;
  /** An error that waiting does not cure. Default: none. */
  readonly hopeless?: (error: unknown) => boolean;
}

/**
 * Calls `probe` until it resolves: a broker is ready when it answers its own protocol, not when its port is open or its
 * log says so.
 */
export async function until<T>(probe: () => Promise<T>, options: UntilOptions): Promise<T> {
  const { deadline, every = 50, died, hopeless } = options;
  const end = performance.now() + deadline;
  for (;;) {
    try {
      return await probe();
    } catch (error) {
      const gone = (await died?.()) ?? null;
      if (gone !== null) throw new Error(gone, { cause: error });
      if (hopeless?.(error) === true) throw error;
      if (performance.now() > end)
        throw new Error(`not ready within ${deadline} ms: ${textOf(error)}`, { cause: error });
      await sleep(every);
    }
  }
}

/** An error in one line. What Node throws for a name with several addresses has no message of its own. */
export function textOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(textOf).join('; ');
  return error instanceof Error ? error.message : String(error);
}
