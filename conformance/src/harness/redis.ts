import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Adapter, AdapterConfig, AdapterModule } from '@waybill/core/adapter';
import type { RedisBroker, RedisStart, Reply } from '@waybill/testbed';
import type { Fault } from '../case.ts';
import { type FaultAction, type Harness, type Heal, type MissingTarget, NotAble, type Spy } from '../target.ts';
import { Connections, deaths, done, startHarness } from './started.ts';

const module = '@waybill/redis';

/** A short lease, so that what a killed consumer held comes again while somebody is looking. */
const usual = { lease: '3s' };

export interface RedisHarnessOptions {
  /** How to start the broker. */
  readonly start?: RedisStart;
  /** Options of the adapter, beside URL and key prefix. */
  readonly adapter?: Readonly<Record<string, unknown>>;
}

/**
 * Redis, from the testbed: private, with every fault, or at WAYBILL_REDIS_URL, with none. All keys of a run begin with
 * a random prefix, and only those are ever deleted.
 *
 * @throws TestbedError when there is an address and nothing usable behind it
 */
export function redisHarness(options: RedisHarnessOptions = {}): Promise<Harness | MissingTarget> {
  return startHarness('redis', options.start, module, (broker, adapters) =>
    harnessOf(broker, adapters, { ...usual, ...options.adapter }),
  );
}

async function harnessOf(
  broker: RedisBroker,
  adapters: AdapterModule,
  options: Readonly<Record<string, unknown>>,
): Promise<Harness> {
  const keyPrefix = `wb-${randomBytes(6).toString('hex')}:`;
  const config = (url: string): AdapterConfig => ({ url, options: { ...options, keyPrefix }, client: 'waybill-suite' });
  const make = (url: string): Adapter => adapters.createAdapter(config(url));
  const connections = await Connections.open(broker, make);
  return {
    name: 'redis',
    how: broker.how,
    kind: broker.kind,
    version: broker.version,
    supports: make(broker.url).supports,
    adapter: () => connections.adapter(),
    // The headers of every message that Waybill sends have its id, and nothing else that it asks for does.
    faults: connections.ours
      ? { ...connections.faults('"waybill-id"'), ...deaths(broker), ...ownFaults(broker, keyPrefix) }
      : {},
    spy: spyOf(broker, keyPrefix),
    child: { module, config: config(connections.childUrl()) },
    healthy: () =>
      broker.command('PING').then(
        () => true,
        () => false,
      ),
    close: async (): Promise<void> => {
      try {
        if (!connections.ours) await deleteAll(broker, keyPrefix);
      } finally {
        await broker[Symbol.asyncDispose]();
      }
    },
  };
}

function ownFaults(broker: RedisBroker, keyPrefix: string): Partial<Record<Fault, FaultAction>> {
  return {
    'reject-sends': async ({ adapters, count, refusal }) => {
      if (refusal === 'permanent') throw new NotAble('Redis can not be made to refuse a number of sends for good');
      if (adapters.length > 0) throw new NotAble('a full memory strikes every connection');
      return fill(broker, count);
    },
    'take-over': async ({ topic, group, deliveries }) => {
      const ids = deliveries.flatMap(({ position }) => Object.values(position ?? {}));
      let taken = 0;
      for (const stream of ids.length === 0 ? [] : await streamsOf(broker, keyPrefix, topic ?? '')) {
        // As idle as what everybody may take.
        const claim = ['XCLAIM', stream, group ?? '', 'harness', '0', ...ids, 'IDLE', '3600000', 'JUSTID'];
        const reply = await broker.command(...claim).catch(() => []);
        taken += Array.isArray(reply) ? reply.length : 0;
      }
      if (taken === 0) throw new NotAble('nothing that this consumer holds can be taken from it');
      return done;
    },
  };
}

/** Leaves the server no memory, so that it refuses to store anything, until it has refused so many times. */
async function fill(broker: RedisBroker, count: number): Promise<Heal> {
  const refused = async (): Promise<number> => {
    const stats = String(await broker.command('INFO', 'errorstats'));
    return Number(/^errorstat_OOM:count=(\d+)/m.exec(stats)?.[1] ?? 0);
  };
  const enough = (await refused()) + count;
  const healed = new AbortController();
  await broker.command('CONFIG', 'SET', 'maxmemory', '1');
  const empty = async (): Promise<void> => void (await broker.command('CONFIG', 'SET', 'maxmemory', '0'));
  const watch = async (): Promise<void> => {
    while (!healed.signal.aborted && (await refused()) < enough) await sleep(5);
    await empty();
  };
  const watching = watch();
  watching.catch(() => undefined); // it is said at the healing
  return () => {
    healed.abort();
    return watching;
  };
}

/** Looks at the keys of this run, without the adapter. */
function spyOf(broker: RedisBroker, keyPrefix: string): Spy {
  const ofGroup = async (topic: string, words: readonly string[], group: string): Promise<Reply[][]> => {
    const found: Reply[][] = [];
    for (const stream of await streamsOf(broker, keyPrefix, topic)) {
      const [first = '', second = ''] = words;
      const reply = await broker.command(first, ...(second === '' ? [] : [second]), stream, group).catch(() => []);
      if (Array.isArray(reply)) found.push(reply);
    }
    return found;
  };
  return {
    objects: async (part) => {
      const names = await keysOf(broker, `${keyPrefix}*`);
      return names.map((name) => name.slice(keyPrefix.length)).filter((name) => name.includes(part));
    },
    inFlight: async (topic, group) => {
      const rows = (await ofGroup(topic, ['XPENDING'], group)).flatMap(([, , , consumers]) => consumers ?? []);
      return rows
        .flatMap((row) => (Array.isArray(row) ? [row as Reply[]] : []))
        .filter(([name]) => isConsumer(String(name)))
        .reduce((sum, [, count]) => sum + Number(String(count)), 0);
    },
    consumers: async (topic, group) => {
      const rows = (await ofGroup(topic, ['XINFO', 'CONSUMERS'], group)).flat();
      const names = rows.flatMap((row) => (Array.isArray(row) ? [String((row as Reply[])[1])] : []));
      // Before Redis 7.2 one that has never got anything is not in the group: the adapter's own list has it.
      const members = await broker.command('ZRANGE', `${keyPrefix}{${topic}}:members:${group}`, '0', '-1');
      for (const name of members as Buffer[]) names.push(name.toString());
      return new Set(names.filter(isConsumer)).size;
    },
    put: async (topic, { body, headers, key = null }) => {
      const fields = Object.entries(headers).flat();
      if (key !== null) fields.push('waybill-key', key);
      const words = ['XADD', `${keyPrefix}{${topic}}:stream`, 'NOMKSTREAM', '*', 'body', body, ...fields];
      if ((await broker.command(...words)) === null) throw new NotAble(`nobody has provisioned ${topic}`);
    },
  };
}

/** The adapter keeps under a name of its own what was given back; `harness` is ours. Neither reads. */
function isConsumer(name: string): boolean {
  return name !== 'waybill:given-back' && name !== 'harness';
}

/** The streams of a topic: its partitions and its groups' inboxes. */
function streamsOf(broker: RedisBroker, keyPrefix: string, topic: string): Promise<string[]> {
  return keysOf(broker, `${keyPrefix}{${topic}}*`, 'TYPE', 'stream');
}

async function keysOf(broker: RedisBroker, pattern: string, ...filter: string[]): Promise<string[]> {
  const names = new Set<string>();
  let cursor = '0';
  do {
    const reply = await broker.command('SCAN', cursor, 'MATCH', pattern, 'COUNT', '1000', ...filter);
    const [next, found] = reply as [Buffer, Buffer[]];
    for (const name of found) names.add(name.toString());
    cursor = next.toString();
  } while (cursor !== '0');
  return [...names].toSorted((a, b) => (a < b ? -1 : 1));
}

async function deleteAll(broker: RedisBroker, keyPrefix: string): Promise<void> {
  const names = await keysOf(broker, `${keyPrefix}*`);
  for (let at = 0; at < names.length; at += 500) await broker.command('UNLINK', ...names.slice(at, at + 500));
}
