import { randomBytes } from 'node:crypto';
import type {
  Adapter,
  AdapterSubscription,
  Delivery,
  Destination,
  OutgoingMessage,
  SubscriptionSpec,
} from '@waybill/core/adapter';
import { type BrokerProxy, describeNotRun, isNotRun, type RedisBroker, startBroker } from '@waybill/testbed';
import { Redis } from 'ioredis';
import { redis, type RedisOptions } from '../src/index.ts';

const answer = await startBroker('redis');

/** The server: the one at WAYBILL_REDIS_URL, or a private one. Or why there is none, and what to do about it. */
export const broker: RedisBroker | null = isNotRun(answer) ? null : answer;
export const missing: string = isNotRun(answer) ? describeNotRun(answer) : '';
export const url: string = broker?.url ?? 'redis://127.0.0.1:1';

/** Every key of this run begins with this, and nothing else is ever touched. */
export const keyPrefix: string = `wbtest-${randomBytes(6).toString('hex')}:`;
export const never: AbortSignal = new AbortController().signal;

/** A client of our own, to look at the server beside the adapter. */
export const raw: Redis = new Redis(url, { lazyConnect: true, retryStrategy: null });
raw.on('error', () => undefined);

const open: Adapter[] = [];

export async function adapter(options: RedisOptions = {}): Promise<Adapter> {
  const made = redis({ url, keyPrefix, ...options });
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
  await broker?.[Symbol.asyncDispose]();
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
      transactional: false,
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
export async function proxy(): Promise<BrokerProxy> {
  if (broker === null) throw new Error(missing);
  return broker.proxy();
}
