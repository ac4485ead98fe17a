import { WaybillError } from './errors.ts';
import { quote } from './quote.ts';

/**
 * Which messages a subscription wants (D11). All parts given must match; of several patterns one must. A message without
 * the type or the header does not match.
 *
 * A pattern is text of segments joined by dots. `*` stands for exactly one segment; `#` or `**`, as the last one, for any
 * number of them: `order.*` matches `order.paid`, `order.#` also `order` and `order.paid.late`. There is no other
 * syntax, and matching takes time linear in the value.
 */
export interface Filter {
  readonly type?: string | readonly string[];
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
}

/** Whether a message matches. `header` looks a header up by name; only those that the filter names are asked for. */
export type FilterTest = (type: string | null, header: (name: string) => string | undefined) => boolean;

/** @throws WaybillError `invalid`, naming the pattern and what is allowed. */
export function compileFilter(filter: Filter): FilterTest {
  const { type, headers } = canonical(filter);
  const matchesType = type === null ? null : matcher(type);
  const matchesHeaders = headers.map(([name, patterns]) => ({ name, matches: matcher(patterns) }));
  return (messageType, header) => {
    if (matchesType !== null && (messageType === null || !matchesType(messageType))) return false;
    for (const { name, matches } of matchesHeaders) {
      const value = header(name);
      if (value === undefined || !matches(value)) return false;
    }
    return true;
  };
}

/** Whether two filters say the same, whatever the order in which they say it; no filter is one that asks nothing. */
export function sameFilter(a: Filter | null | undefined, b: Filter | null | undefined): boolean {
  return meaningOfFilter(a) === meaningOfFilter(b);
}

/** One text for all filters that say the same. */
export function meaningOfFilter(filter: Filter | null | undefined): string {
  return JSON.stringify(canonical(filter ?? {}));
}

interface Canonical {
  readonly type: readonly string[] | null;
  readonly headers: readonly (readonly [name: string, patterns: readonly string[]])[];
}

/** Checked, lists for single patterns, sorted, without repetition. */
function canonical(filter: Filter): Canonical {
  for (const part of Object.keys(filter)) {
    if (part !== 'type' && part !== 'headers') {
      throw new WaybillError('invalid', `filter has ${quote(part)}; allowed: type, headers`);
    }
  }
  const headers = Object.entries(filter.headers ?? {}).map(
    ([name, patterns]) => [name, checked(patterns, `filter header ${quote(name)}`)] as const,
  );
  return {
    type: filter.type === undefined ? null : checked(filter.type, 'filter type'),
    headers: headers.toSorted(([a], [b]) => (a < b ? -1 : 1)),
  };
}

function checked(patterns: string | readonly string[], what: string): readonly string[] {
  const list: readonly unknown[] = Array.isArray(patterns) ? patterns : [patterns];
  if (list.length === 0) throw new WaybillError('invalid', `${what} is an empty list; give at least one pattern`);
  return [...new Set(list.map((pattern) => checkedPattern(pattern, what)))].toSorted();
}

function checkedPattern(pattern: unknown, what: string): string {
  if (typeof pattern !== 'string') {
    throw new WaybillError('invalid', `${what} has the pattern ${quote(pattern)}; allowed: strings`);
  }
  const segments = pattern.split('.');
  if (segments.at(-1) === '**') segments[segments.length - 1] = '#';
  const bad = segments.find(
    (segment, at) => /[*#]/.test(segment) && segment !== '*' && !(segment === '#' && at === segments.length - 1),
  );
  if (bad === undefined) return segments.join('.');
  throw new WaybillError(
    'invalid',
    `${what} has the pattern ${quote(pattern)}; allowed: * as a whole segment between dots, # or ** as the last one`,
  );
}

function matcher(patterns: readonly string[]): (value: string) => boolean {
  const exact = patterns.filter((pattern) => !/[*#]/.test(pattern));
  const wild = patterns.filter((pattern) => /[*#]/.test(pattern)).map(wildcard);
  return (value) => exact.includes(value) || wild.some((matches) => matches(value));
}

function wildcard(pattern: string): (value: string) => boolean {
  const segments = pattern.split('.');
  const anyTail = segments.at(-1) === '#';
  if (anyTail) segments.pop();
  return (value) => {
    let start = 0; // of the next segment; beyond the value's length once all are used up
    for (const segment of segments) {
      if (start > value.length) return false;
      const dot = value.indexOf('.', start);
      const end = dot < 0 ? value.length : dot;
      if (segment !== '*' && !(segment.length === end - start && value.startsWith(segment, start))) return false;
      start = end + 1;
    }
    return anyTail || start > value.length;
  };
}
