import { type Clock, systemClock } from './clock.ts';
import type { IdempotencyStore } from './idempotent.ts';

interface Mark {
  readonly state: 'claimed' | 'done';
  /** Monotonic. */
  readonly until: number;
}

/**
 * An idempotency store in this process only: it removes copies that reach the same process, and forgets everything when
 * the process ends. Bounded: above `max` marks (default 1,000,000) the oldest done ones go.
 */
export function memoryStore(options: { readonly clock?: Clock; readonly max?: number } = {}): IdempotencyStore {
  const { clock = systemClock, max = 1_000_000 } = options;
  const marks = new Map<string, Mark>();
  const set = (name: string, mark: Mark): void => {
    marks.delete(name); // so that it counts as the newest
    marks.set(name, mark);
    const now = clock.monotonic();
    for (const [oldest, { state, until }] of marks) {
      if (until > now && (marks.size <= max || state === 'claimed')) break;
      marks.delete(oldest);
    }
  };
  return {
    scope: 'process',
    claim(scope, id, leaseMs) {
      const name = nameOf(scope, id);
      const mark = marks.get(name);
      if (mark !== undefined && mark.until > clock.monotonic()) return mark.state === 'done' ? 'done' : 'busy';
      set(name, { state: 'claimed', until: clock.monotonic() + leaseMs });
      return 'claimed';
    },
    extend(scope, id, leaseMs) {
      const name = nameOf(scope, id);
      if (marks.get(name)?.state === 'claimed') set(name, { state: 'claimed', until: clock.monotonic() + leaseMs });
    },
    done(scope, id, windowMs) {
      set(nameOf(scope, id), { state: 'done', until: clock.monotonic() + windowMs });
    },
    release(scope, id) {
      const name = nameOf(scope, id);
      if (marks.get(name)?.state === 'claimed') marks.delete(name);
    },
  };
}

/** A space is in no scope, so no two pairs share a name. */
function nameOf(scope: string, id: string): string {
  return `${scope} ${id}`;
}
