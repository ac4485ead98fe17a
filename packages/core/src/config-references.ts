import { exponential } from './backoff.ts';
import { type ConfigPath, didYouMean, type Problem, showPath, unknownKey } from './config-problems.ts';
import { type Duration, duration } from './duration.ts';
import { WaybillError } from './errors.ts';
import { quote } from './quote.ts';
import { checkName } from './names.ts';
import { DEFAULTS } from './options.ts';
import { adapterOf, type AdapterPackages, isBuiltIn, knownSchemes } from './schemes.ts';
import { parseBrokerUrl } from './url.ts';

type Fields = Readonly<Record<string, unknown>>;

/**
 * What a schema can't see: keys that must be names, values that must exist elsewhere, and pairs that conflict. The input
 * may be anything; what the schema refuses already is left out here.
 */
export function referenceProblems(input: unknown): Problem[] {
  if (!isFields(input)) return [];
  const adapters = packagesOf(input['adapters']);
  return [
    ...adapterProblems(input['adapters']),
    ...brokerProblems(input, adapters),
    ...topicProblems(input),
    ...subscriptionProblems(input['subscriptions']),
    ...orderProblem(
      ['reconnect'],
      withDefaults(input['reconnect'], { min: DEFAULTS.reconnectMin, max: DEFAULTS.reconnectMax }),
      'min',
      'max',
    ),
  ];
}

/** An adapter made by the program itself, known by what it can do. */
export function isAdapter(value: unknown): boolean {
  if (!isFields(value)) return false;
  const { name, supports, publish } = value;
  return typeof name === 'string' && typeof publish === 'function' && isFields(supports);
}

const packageName = /^(?:@[a-z0-9][a-z0-9._-]*\/)?[a-z0-9][a-z0-9._-]*$/;

function adapterProblems(adapters: unknown): Problem[] {
  return entriesOf(adapters).flatMap(([scheme, name]): Problem[] => {
    const path = ['adapters', scheme];
    if (!/^[a-z][a-z0-9+.-]{0,31}$/.test(scheme))
      return [{ path, text: 'is not a URL scheme; allowed: a-z, 0-9, plus, dot and hyphen' }];
    if (isBuiltIn(scheme)) return [{ path, text: `can't be changed: ${scheme} is a scheme of Waybill itself` }];
    if (typeof name === 'string' && !packageName.test(name)) {
      return [
        { path, text: "is not the name of a package; allowed: a name as npm knows it, such as '@acme/waybill-nats'" },
      ];
    }
    return [];
  });
}

function brokerProblems(input: Fields, adapters: AdapterPackages): Problem[] {
  const brokers = input['brokers'];
  if (!isFields(brokers) || isAdapter(brokers)) {
    return [{ path: ['brokers'], text: `is ${brokers === undefined ? 'missing' : 'not an object'}; ${brokersRule}` }];
  }
  const entries = entriesOf(brokers);
  if (entries.length === 0) return [{ path: ['brokers'], text: `is empty; ${brokersRule}` }];
  return entries.flatMap(([name, value]) => [
    ...nameProblem(['brokers', name], 'topic', name),
    ...brokerProblem(['brokers', name], value, adapters),
  ]);
}

const brokersRule = "allowed: at least one name with its URL, such as { main: 'redis://localhost:6379' }";

function brokerProblem(path: ConfigPath, value: unknown, adapters: AdapterPackages): Problem[] {
  if (typeof value === 'string') return urlProblem(path, value, adapters);
  if (isAdapter(value)) return [];
  if (!isFields(value) || typeof value['url'] !== 'string') {
    const what = isFields(value) ? 'has no url' : `is ${value === null ? 'null' : `a ${typeof value}`}`;
    return [{ path, text: `${what}; allowed: a URL, { url, <adapter>: its options }, or an adapter` }];
  }
  const wrong = urlProblem([...path, 'url'], value['url'], adapters);
  if (wrong.length > 0) return wrong;
  const own = adapterOf(parseBrokerUrl(value['url']).scheme, adapters)?.adapter ?? '';
  return Object.keys(value).flatMap((key): Problem[] => {
    if (key !== 'url' && key !== own) return [unknownKey(path, key, ['url', own])];
    if (key === own && !isFields(value[key]))
      return [{ path: [...path, key], text: "is not an object; allowed: the adapter's own options" }];
    return [];
  });
}

function urlProblem(path: ConfigPath, url: string, adapters: AdapterPackages): Problem[] {
  const parsed = outcome(() => parseBrokerUrl(url));
  if (parsed.error !== null) return [{ path, text: `is wrong: ${parsed.error}` }];
  const { scheme } = parsed.value;
  if (adapterOf(scheme, adapters) !== null) return [];
  const known = knownSchemes(adapters);
  const allowed = `allowed: ${known.join(', ')}, or a scheme whose package stands under adapters`;
  return [
    {
      path,
      text: `has the scheme '${scheme.slice(0, 32)}', which has no adapter${didYouMean(scheme, known)}; ${allowed}`,
    },
  ];
}

function topicProblems(input: Fields): Problem[] {
  const brokers = entriesOf(input['brokers']).map(([name]) => name);
  const ambiguous = brokers.length > 1 && !brokers.includes('main');
  return entriesOf(input['topics']).flatMap(([name, topic]): Problem[] => {
    const path = ['topics', name];
    const problems = nameProblem(path, 'topic', name);
    const { broker, groups } = isFields(topic) ? topic : {};
    if (typeof broker === 'string' && !brokers.includes(broker)) {
      const text = `names the broker ${quote(broker)}, which brokers does not have${didYouMean(broker, brokers)}; allowed: ${brokers.join(', ')}`;
      problems.push({ path: [...path, 'broker'], text });
    }
    if (broker === undefined && ambiguous) {
      problems.push({
        path,
        text: `names no broker, and none is called main; allowed: broker: ${brokers.join(' or ')}`,
      });
    }
    const list: unknown[] = Array.isArray(groups) ? groups : [];
    const twice = list.findIndex((group, index) => list.indexOf(group) < index);
    if (twice >= 0) problems.push({ path: [...path, 'groups', twice], text: 'is named twice' });
    return problems;
  });
}

function subscriptionProblems(subscriptions: unknown): Problem[] {
  return entriesOf(subscriptions).flatMap(([name, options]): Problem[] => {
    const path = ['subscriptions', name];
    const [topic = '', group, ...rest] = name.split('/');
    if (group === undefined || rest.length > 0) {
      return [{ path, text: "is not a subscription; allowed: a topic and a group, such as 'orders/inventory'" }];
    }
    const problems = [...nameProblem(path, 'topic', topic), ...nameProblem(path, 'group', group)];
    if (!isFields(options)) return problems;
    const { deadLetter, onExhausted, retry } = options;
    if (onExhausted !== undefined && (deadLetter === true || deadLetter === 'key')) {
      const text = `can't stand beside deadLetter: ${String(deadLetter)}; it says what happens without dead letters (deadLetter: false)`;
      problems.push({ path: [...path, 'onExhausted'], text });
    }
    return [
      ...problems,
      ...backoffProblems([...path, 'retry', 'backoff'], isFields(retry) ? retry['backoff'] : undefined),
    ];
  });
}

const backoffFields: Readonly<Record<string, readonly string[]>> = {
  exponential: ['kind', 'initial', 'factor', 'max', 'jitter'],
  fixed: ['kind', 'delay', 'jitter'],
};

function backoffProblems(path: ConfigPath, backoff: unknown): Problem[] {
  if (!isFields(backoff)) return [];
  const kind = backoff['kind'];
  if (kind === undefined) return [{ path: [...path, 'kind'], text: "is missing; allowed: 'exponential' or 'fixed'" }];
  const fields = typeof kind === 'string' && Object.hasOwn(backoffFields, kind) ? backoffFields[kind] : undefined;
  if (fields === undefined) return [];
  const strangers = Object.keys(backoff).filter(
    (key) => Object.values(backoffFields).flat().includes(key) && !fields.includes(key),
  );
  const problems: Problem[] = strangers.map((key) => ({
    path: [...path, key],
    text: `has no meaning where kind is '${kind as string}'; allowed: ${fields.join(', ')}`,
  }));
  if (kind === 'fixed' && backoff['delay'] === undefined) {
    problems.push({ path: [...path, 'delay'], text: "is missing; allowed: a duration such as '5s'" });
  }
  return [
    ...problems,
    ...(kind === 'fixed' ? [] : orderProblem(path, withDefaults(backoff, exponential()), 'initial', 'max')),
  ];
}

/** Two durations of which the first must not be the longer one. */
function orderProblem(path: ConfigPath, fields: unknown, least: string, most: string): Problem[] {
  if (!isFields(fields)) return [];
  const [low, high] = [least, most].map((key) => outcome(() => duration(fields[key] as Duration)));
  if (low?.error !== null || high?.error !== null || low.value <= high.value) return [];
  return [
    {
      path: [...path, least],
      text: `is ${low.value} ms, longer than ${showPath([...path, most])}, which is ${high.value} ms`,
    },
  ];
}

/** What is given, over what holds where nothing is. */
function withDefaults(given: unknown, defaults: object): Fields {
  return { ...defaults, ...(isFields(given) ? given : {}) };
}

function nameProblem(path: ConfigPath, kind: 'topic' | 'group', name: string): Problem[] {
  const { error } = outcome(() => checkName(kind, name));
  return error === null ? [] : [{ path, text: `is wrong: ${error}` }];
}

function packagesOf(adapters: unknown): AdapterPackages {
  return Object.fromEntries(
    entriesOf(adapters).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );
}

function entriesOf(value: unknown): [string, unknown][] {
  return isFields(value) ? Object.entries(value) : [];
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

type Outcome<T> = { readonly value: T; readonly error: null } | { readonly value: null; readonly error: string };

function outcome<T>(check: () => T): Outcome<T> {
  try {
    return { value: check(), error: null };
  } catch (error) {
    return { value: null, error: WaybillError.is(error) ? error.message : 'not allowed' };
  }
}
