import { inspect } from 'node:util';
import type { CaseContext } from '../../case-context.ts';

/** A secret that can be found again, however it was encoded on the way. */
export interface Marker {
  /** With characters that a URL must encode. */
  readonly secret: string;
  readonly encoded: string;
  /** Fails the case when it stands anywhere in this, printed or as JSON, causes included. */
  search(t: CaseContext, what: string, value: unknown): void;
}

export function marker(run: string): Marker {
  const core = `Zq7Marker${run}`;
  const secret = `p/${core}@:#x`;
  return {
    secret,
    encoded: encodeURIComponent(secret),
    search(t, what, value) {
      for (const text of [printed(value), asJson(value)]) {
        const at = text.indexOf(core);
        t.ok(at < 0, `a secret stands in ${what}: '…${text.slice(Math.max(0, at - 80), at + 40)}…'`);
      }
    },
  };
}

function printed(value: unknown): string {
  return inspect(value, { depth: 20, maxStringLength: null, maxArrayLength: null });
}

function asJson(value: unknown): string {
  const seen = new WeakSet<object>();
  return (
    JSON.stringify(value, (_name, inner: unknown) => {
      if (typeof inner !== 'object' || inner === null) return typeof inner === 'bigint' ? String(inner) : inner;
      if (seen.has(inner)) return undefined;
      seen.add(inner);
      return inner instanceof Error
        ? {
            ...Object.fromEntries(Object.entries(inner)),
            message: inner.message,
            stack: inner.stack,
            cause: inner.cause,
          }
        : inner;
    }) ?? ''
  );
}
