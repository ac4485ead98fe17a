import { quote } from './quote.ts';
import { maskText } from './sanitise.ts';

/** Where in a configuration: `['topics', 'orders', 'partitions']`. */
export type ConfigPath = readonly (string | number)[];

/** One thing that is wrong. `text` follows the path: `is 0; allowed: …`. */
export interface Problem {
  readonly path: ConfigPath;
  readonly text: string;
}

const plainKey = /^[A-Za-z_$][\w$]*$/;

/** `subscriptions['orders/inventory'].retry.attempts`; the root is `the configuration`. */
export function showPath(path: ConfigPath): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else if (plainKey.test(part)) text += text === '' ? part : `.${part}`;
    else text += `[${quote(part, 80)}]`;
  }
  return text === '' ? 'the configuration' : text;
}

/**
 * A bad value as an error may show it. What lies under `brokers` may hold a password anywhere, so only its kind is
 * told; `hidden` says the same of values that came from the environment.
 */
export function showValue(value: unknown, path: ConfigPath, hidden: boolean): string {
  if (value === undefined) return 'missing';
  const secretive = hidden || path[0] === 'brokers';
  if (typeof value === 'string') {
    if (secretive) return `a text of ${value.length} characters (not shown)`;
    return maskText(quote(value, 80));
  }
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'a list' : 'an object';
  if (typeof value === 'function') return 'a function';
  return secretive && typeof value === 'number' ? 'a number' : quote(value, 80);
}

/** The value at a path, own properties only. */
export function valueAt(input: unknown, path: ConfigPath): unknown {
  let value = input;
  for (const part of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Record<string | number, unknown>)[part];
  }
  return value;
}

/** `'topicz' is not known here; did you mean 'topics'? allowed: …`. */
export function unknownKey(path: ConfigPath, key: string, allowed: readonly string[]): Problem {
  const near = nearest(key, allowed);
  const hint = near === null ? '' : ` (did you mean '${near}'?)`;
  return { path: [...path, key], text: `is not known${hint}; allowed here: ${allowed.join(', ')}` };
}

/** `; did you mean 'main'?` where a known name is close to the given one, else nothing. */
export function didYouMean(name: string, known: readonly string[]): string {
  const near = nearest(name, known);
  return near === null ? '' : `; did you mean '${near}'?`;
}

function nearest(name: string, known: readonly string[]): string | null {
  if (name.length > 64) return null;
  const ranked = known
    .map((one) => ({ one, far: distance(name.toLowerCase(), one.toLowerCase()) }))
    .toSorted((a, b) => a.far - b.far);
  const best = ranked[0];
  return best !== undefined && best.far <= Math.max(1, Math.ceil(name.length / 3)) ? best.one : null;
}

/** Edits that turn one word into the other (Levenshtein). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const swap = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, swap));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
