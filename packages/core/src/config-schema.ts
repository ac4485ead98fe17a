import { z } from 'zod';
import { type Duration, duration } from './duration.ts';
import { compileFilter, type Filter } from './filter.ts';
import { checkName } from './names.ts';
import { startPosition } from './start.ts';

/*
 * The shape of a configuration. Leaves are predicates with the words of their bound: an issue's message is what is
 * allowed, and `config.ts` puts path and bad value in front of it. Nothing is transformed here.
 */

const second = 1_000;
const day = 24 * 60 * 60 * second;

function leaf(allowed: string, test: (value: unknown) => boolean): z.ZodType {
  return z.custom(test, { error: allowed });
}

function whole(min: number, max: number): z.ZodType {
  const within = (value: unknown): boolean => Number.isInteger(value) && Number(value) >= min && Number(value) <= max;
  return leaf(`a whole number from ${min.toLocaleString('en-US')} to ${max.toLocaleString('en-US')}`, within);
}

function oneOf(...values: readonly unknown[]): z.ZodType {
  const words = values.map((value) => (typeof value === 'string' ? `'${value}'` : String(value)));
  return leaf(words.join(' or '), (value) => values.includes(value));
}

/** A duration between two bounds in ms, both allowed; `words` says them. */
function period(min: number, max: number, words: string): z.ZodType {
  return leaf(`${words}, in milliseconds or as text such as '30s'`, (value) => {
    const ms = succeeds(() => duration(value as Duration));
    return ms !== null && ms >= min && ms <= max;
  });
}

function text(longest: number): z.ZodType {
  return leaf(
    `a text of 1 to ${longest} characters`,
    (value) => typeof value === 'string' && value.length > 0 && value.length <= longest,
  );
}

const nameRule =
  'words of a-z and 0-9 joined by single dots or hyphens, the first beginning with a letter, 64 characters at most';

function name(kind: 'topic' | 'group' | 'prefix'): z.ZodType {
  const rule = kind === 'group' ? `${nameRule}, but not dlq or retry` : nameRule;
  return leaf(rule, (value) => succeeds(() => (checkName(kind, value as string), true)) ?? false);
}

/** An object with these options only. The message is the list of their names. */
function options(shape: Record<string, z.ZodType>): z.ZodType {
  const optional = Object.fromEntries(Object.entries(shape).map(([key, value]) => [key, value.optional()]));
  const names = Object.keys(shape).join(', ');
  return z.strictObject(optional, {
    error: (issue) => (issue.code === 'unrecognized_keys' ? names : `an object with ${names}`),
  });
}

function record(allowed: string, value: z.ZodType): z.ZodType {
  return z.record(z.string(), value, { error: allowed });
}

/** `duration`, `checkName` and the like throw what is wrong; here only whether they do counts. */
function succeeds<T>(check: () => T): T | null {
  try {
    return check();
  } catch {
    return null;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A time with its zone: without one it would mean another moment on each machine. */
const isoTime = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})$/;

/** `start`, also as people write times in YAML. */
function isStart(value: unknown): boolean {
  if (typeof value === 'string' && isoTime.test(value)) return !Number.isNaN(Date.parse(value));
  return succeeds(() => startPosition(value, 'start')) !== null;
}

function isFilter(value: unknown): boolean {
  if (!isRecord(value) || !(value['headers'] === undefined || isRecord(value['headers']))) return false;
  return succeeds(() => compileFilter(value as Filter)) !== null;
}

const start = leaf(
  "'held', 'earliest', 'latest', a time with its zone such as '2026-01-31T12:00:00Z', { time: ms } or { position: { partition: text } }",
  isStart,
);

const filter = leaf(
  '{ type, headers } of patterns: text of segments joined by dots, * for one segment, # at the end for any number',
  isFilter,
);

const share = leaf('a number from 0 to 1', (value) => typeof value === 'number' && value >= 0 && value <= 1);

const backoff = options({
  kind: oneOf('exponential', 'fixed'),
  initial: period(1, day, 'a duration from 1 ms to 1 day'),
  factor: leaf('a number from 1 to 100', (value) => typeof value === 'number' && value >= 1 && value <= 100),
  max: period(1, day, 'a duration from 1 ms to 1 day'),
  delay: period(0, day, 'a duration from 0 to 1 day'),
  jitter: share,
});

const subscription = options({
  concurrency: whole(1, 100_000),
  prefetch: whole(1, 1_000_000),
  prefetchBytes: whole(1, 2 ** 40),
  retry: options({ attempts: whole(1, 1_000), backoff }),
  timeout: period(1, day, 'a duration from 1 ms to 1 day'),
  lease: period(second, day, 'a duration from 1 s to 1 day'),
  drain: period(0, day, 'a duration from 0 to 1 day'),
  deadLetter: oneOf(true, false, 'key'),
  onExhausted: oneOf('drop', 'stop'),
  start,
  filter,
  maxDeliveries: whole(1, 1_000_000),
  address: text(512),
});

const topic = options({
  broker: text(64),
  partitions: whole(1, 1_024),
  groups: z.array(name('group'), { error: 'a list of group names' }),
  retention: period(second, 3_650 * day, 'a duration from 1 s to 10 years'),
  address: text(512),
});

/** `brokers` and the keys of records are checked in `config-references.ts`, since they lean on one another. */
export const configSchema: z.ZodType = options({
  brokers: leaf('an object of names, each with a URL, { url, … } or an adapter', () => true),
  topology: oneOf('create', 'verify', 'none'),
  source: text(255),
  prefix: name('prefix'),
  adapters: record("an object of URL schemes, each with a package's name", text(214)),
  topics: record('an object of topic names', topic),
  subscriptions: record("an object of 'topic/group' names", subscription),
  publish: options({
    bufferMessages: whole(1, 10_000_000),
    bufferBytes: whole(1, 2 ** 40),
    overflow: oneOf('block', 'reject'),
    timeout: period(1, day, 'a duration from 1 ms to 1 day'),
  }),
  connectTimeout: period(1, day, 'a duration from 1 ms to 1 day'),
  reconnect: options({
    min: period(1, day, 'a duration from 1 ms to 1 day'),
    max: period(1, day, 'a duration from 1 ms to 1 day'),
  }),
});
