import { randomBytes } from 'node:crypto';
import { createServer, type Server, type Socket, connect } from 'node:net';
import type {
  Adapter,
  AdapterSubscription,
  Delivery,
  Destination,
  OutgoingMessage,
  SubscriptionSpec,
} from '@waybill/core/adapter';
import { Redis } from 'ioredis';
import { redis, type RedisOptions } from '../src/index.ts';

export const url: string | undefined = process.env['WAYBILL_REDIS_URL'];
export const required: boolean = /(?:^|,)\s*(?:all|redis)\s*(?:,|$)/.test(process.env['WAYBILL_REQUIRE'] ?? '');

export const missing =
  'no Redis: set WAYBILL_REDIS_URL=redis://:password@127.0.0.1:6379/0 (appendonly yes) to run these tests';

/** Every key of this run begins with this, and nothing else is ever touched. */
export const keyPrefix: string = `wbtest-${randomBytes(6).toString('hex')}:`;
export const never: AbortSignal = new AbortController().signal;

/** A client of our own, to look at the server beside the adapter. */
export const raw: Redis = new Redis(url ?? 'redis://127.0.0.1:1', { lazyConnect: true, retryStrategy: null });
raw.on('error', () => undefined);

const open: Adapter[] = [];

export async function adapter(options: RedisOptions = {}): Promise<Adapter> {
  const made = redis({ ...(url !== undefined && { url }), keyPrefix, ...options });
  open.push(made);
  await made.connect(never);
  return made;
}

export async function cleanUp(): Promise<void> {
  await Promise.all(open.splice(0).map((one) => one.close()));
  const pattern = `${keyPrefix}*`;
  for await (const keys of raw.scanStream({ match: pattern, count: 1_000 }))
    if (keys.length > 0) await raw.unlink(...keys);
  raw.disconnect();
}

let names = 0;
export function topic(): Destination {
  const name = `t${++names}`;
  return { kind: 'topic', name, topic: name, group: null, partitions: null, ordered: false, address: null };
}

export const orderedTopic = (partitions: number): Destination => ({ ...topic(), partitions, ordered: true });

export function inboxOf({ name, partitions, ordered }: Destination, group = 'g'): Destination {
  return { kind: 'inbox', name: `${name}__${group}__retry`, topic: name, group, partitions, ordered, address: null };
}

export const streamOf = ({ name }: Destination): string => `${keyPrefix}{${name}}:stream`;

let ids = 0;
export function message(over: Partial<OutgoingMessage> = {}): OutgoingMessage {
  const id = over.id ?? `m${++ids}`;
  return {
    id,
    time: 1_700_000_000_000,
    key: null,
    type: null,
    source: null,
    contentType: null,
    headers: {},
    control: null,
    body: Buffer.from(id),
    sendId: id,
    partition: null,
    delay: 0,
    ...over,
  };
}

export const messages = (count: number): OutgoingMessage[] => Array.from({ length: count }, () => message());

/** A topic with its groups, each with an inbox. */
export async function provisioned(
  on: Adapter,
  groups: readonly string[] = ['g'],
  retention: number | null = null,
  destination: Destination = topic(),
): Promise<Destination> {
  const all = groups.map((group) => ({
    group,
    address: null,
    start: 'held' as const,
    inbox: inboxOf(destination, group),
  }));
  await on.provision({ topology: 'create', destination, retention, groups: all }, never);
  return destination;
}

export async function consume(
  on: Adapter,
  destination: Destination,
  over: Partial<SubscriptionSpec> = {},
): Promise<AdapterSubscription> {
  const group = over.group ?? 'g';
  return on.subscribe(
    {
      destination,
      group,
      groupAddress: null,
      inbox: inboxOf(destination, group),
      consumer: 'one',
      prefetch: 1_000,
      lease: 30_000,
      start: 'held',
      bounded: false,
      filter: null,
      onRevoked: () => Promise.resolve(),
      onLost: () => undefined,
      onAssigned: () => undefined,
      ...over,
    },
    never,
  );
}

/** Receives until so many have come, or until the deadline. */
export async function gather(from: AdapterSubscription, count: number, ms = 5_000, max = 100): Promise<Delivery[]> {
  const got: Delivery[] = [];
  const deadline = Date.now() + ms;
  while (got.length < count && Date.now() < deadline) got.push(...(await from.receive(max, never)));
  return got;
}

export const receipts = (deliveries: readonly Delivery[]): unknown[] => deliveries.map(({ receipt }) => receipt);
export const idsOf = (deliveries: readonly { id: string }[]): string[] => deliveries.map(({ id }) => id);

/** A TCP proxy before the server, to be cut or to fall silent. */
export interface Proxy {
  readonly url: string;
  cut(): void;
  /** Nothing from the server passes any more, on connections that are open now. */
  silence(): void;
  close(): void;
}

export async function proxy(): Promise<Proxy> {
  const target = new URL(url ?? '');
  const pairs = new Set<[Socket, Socket]>();
  const server: Server = createServer((client) => {
    const upstream = connect(Number(target.port || 6379), target.hostname);
    const pair: [Socket, Socket] = [client, upstream];
    pairs.add(pair);
    client.pipe(upstream).pipe(client);
    for (const [index, socket] of pair.entries()) {
      socket.on('error', () => undefined);
      socket.on('close', () => pair[1 - index]?.destroy() && pairs.delete(pair));
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const through = new URL(url ?? '');
  through.hostname = '127.0.0.1';
  through.port = String((server.address() as { port: number }).port);
  const cut = (): void => pairs.forEach((pair) => pair.forEach((socket) => socket.destroy()));
  return {
    url: through.href,
    cut,
    silence: () => pairs.forEach(([client, upstream]) => upstream.unpipe(client) && upstream.resume()),
    close: () => void (cut(), server.close()),
  };
}
