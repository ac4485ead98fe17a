import {
  type Adapter,
  type AdapterSubscription,
  type BrowsedMessage,
  type Destination,
  type ErrorCode,
  type Facts,
  type Lag,
  type OutgoingMessage,
  type Position,
  type ProvisionSpec,
  type SendOutcome,
  type StartPosition,
  type SubscriptionSpec,
  type Supports,
  WaybillError,
} from '@waybill/core/adapter';
import type { Redis } from 'ioredis';
import { dial, inspect } from './connection.ts';
import { envelopeOf, timeOf } from './entry.ts';
import { classify } from './errors.ts';
import { inboxKeys, membersKey, streamKeys, type StreamKeys } from './keys.ts';
import type { Settings } from './options.ts';
import { before, idOf } from './positions.ts';
import { send } from './publish.ts';
import { RedisReplay } from './replay.ts';
import { run } from './scripts.ts';
import { RedisSubscription } from './subscription.ts';
import { supportsOf } from './supports.ts';
import { CREATE, LAG, MOVE, RESET } from './topic-scripts.ts';
import { type Source, Upkeep } from './upkeep.ts';

/** Longest block of a read: on top of the timeout, for its connection. */
const READ = 500;
/** A consumer that has shown no life for so long is gone. It shows some every two seconds. */
const LIVE = 10_000;
/** Where the server doesn't know how many were not delivered: counted up to this. */
const LAG_CAP = 10_000;

type Created = 'made' | 'there' | 'group' | 'stream';

export class RedisAdapter implements Adapter {
  readonly name = 'redis';
  readonly supports: Supports;
  readonly #settings: Settings;
  readonly #subscriptions = new Set<RedisSubscription>();
  /** Groups that were there once: made again, they start at the beginning, or what came meanwhile would be skipped. */
  readonly #seen = new Set<string>();
  #client: Redis | null = null;
  #closed = false;

  constructor(settings: Settings) {
    this.#settings = settings;
    this.supports = supportsOf(settings);
  }

  async connect(signal: AbortSignal): Promise<Facts> {
    if (this.#closed) throw new WaybillError('closed', 'redis: the adapter is closed');
    this.#client?.disconnect();
    const client = await dial(this.#settings, 'main', 0, signal);
    try {
      const facts = await inspect(client, this.#settings);
      if (this.#closed) throw new WaybillError('closed', 'redis: the adapter is closed');
      this.#client = client;
      return facts;
    } catch (error) {
      client.disconnect();
      throw error;
    }
  }

  async publish(
    destination: Destination,
    messages: readonly OutgoingMessage[],
    signal: AbortSignal,
  ): Promise<readonly SendOutcome[]> {
    const sending = send(this.#live(), this.#keys(destination), messages, this.#settings);
    const cut = new Promise<SendOutcome[]>((resolve) => {
      const stop = (): void => resolve(messages.map(() => ({ status: 'unknown', error: signal.reason as unknown })));
      const done = (): void => signal.removeEventListener('abort', stop);
      sending.then(done, done);
      signal.addEventListener('abort', stop, { once: true });
      if (signal.aborted) stop();
    });
    return Promise.race([sending, cut]);
  }

  async subscribe(spec: SubscriptionSpec, signal: AbortSignal): Promise<AdapterSubscription> {
    const client = this.#live();
    const { destination, inbox } = spec;
    const keys = this.#keys(destination);
    if (spec.bounded) return this.#replay(client, keys, spec.start);
    const group = spec.groupAddress ?? spec.group;
    const { keyPrefix, retention } = this.#settings;
    const sources: Source[] = [
      {
        keys,
        origin: 'topic',
        members: [membersKey(keyPrefix, destination, group)],
        deletes: destination.kind !== 'topic',
      },
    ];
    if (inbox !== null) sources.push({ keys: this.#keys(inbox), origin: 'inbox', members: [], deletes: true });
    for (const source of sources) await this.#create(client, source.keys.stream, group, 'held', false);
    const reader = await dial(this.#settings, 'reader', READ, signal);
    const upkeep = new Upkeep({ client, sources, consumer: spec.consumer, retention });
    const subscription = new RedisSubscription({ client, reader, spec, group, sources, upkeep });
    for (const old of this.#subscriptions) if (old.closed) this.#subscriptions.delete(old);
    this.#subscriptions.add(subscription);
    return subscription;
  }

  async provision({ topology, destination, retention, groups }: ProvisionSpec): Promise<void> {
    const keys = this.#keys(destination);
    if (topology === 'none') return;
    const client = this.#live();
    const create = topology === 'create';
    await this.#create(client, keys.stream, '', 'held', create);
    if (retention !== null) await this.#keep(client, keys, destination, retention, create);
    for (const { group, address, start, inbox } of groups) {
      const name = address ?? group;
      // What is due belongs before a group that starts at the end.
      if (start === 'latest') await run(client, MOVE, [keys.stream, keys.due], ['']);
      await this.#create(client, keys.stream, name, start, create);
      if (inbox !== null) await this.#create(client, this.#keys(inbox).stream, name, 'held', create);
    }
  }

  classify(error: unknown): ErrorCode {
    return classify(error);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#subscriptions].map((subscription) => subscription.close()));
    this.#subscriptions.clear();
    this.#client?.disconnect();
  }

  async lag(destination: Destination, group: string, groupAddress: string | null): Promise<Lag> {
    const all = [this.#keys(destination), inboxKeys(this.#settings.keyPrefix, destination.name, group)];
    const [topic, inbox] = await Promise.all(all.map((keys) => this.#lagOf(keys, groupAddress ?? group)));
    if (topic === undefined || topic === null)
      throw new WaybillError('not-found', `redis: '${destination.name}' has no group '${groupAddress ?? group}'`);
    if (inbox === undefined || inbox === null) return topic;
    const age = topic.age === null || inbox.age === null ? (topic.age ?? inbox.age) : Math.max(topic.age, inbox.age);
    return { count: topic.count + inbox.count, age, exact: topic.exact && inbox.exact };
  }

  async reset(destination: Destination, group: string, groupAddress: string | null, to: StartPosition): Promise<void> {
    const client = this.#live();
    const name = groupAddress ?? group;
    const { stream } = this.#keys(destination);
    await this.#create(client, stream, name, 'held', false);
    const members = membersKey(this.#settings.keyPrefix, destination, name);
    const live = String(await run<Buffer>(client, RESET, [stream, members], [name, before(to), LIVE]));
    if (live !== 'moved')
      throw new WaybillError(
        'invalid',
        `redis: group '${name}' of '${destination.name}' is running (${live}); stop it first`,
      );
  }

  async browse(destination: Destination, from: Position | null, max: number): Promise<readonly BrowsedMessage[]> {
    const start = from === null ? '-' : idOf(from);
    const entries = await this.#live().xrangeBuffer(this.#keys(destination).stream, start, '+', 'COUNT', max);
    return entries.map(([bytes, fields]) => {
      const id = bytes.toString();
      return { ...envelopeOf(id, fields), position: { '0': id }, partition: 0 };
    });
  }

  async oldest(destination: Destination): Promise<number | null> {
    const [first] = await this.#live().xrange(this.#keys(destination).stream, '-', '+', 'COUNT', 1);
    return first === undefined ? null : timeOf(first[0]);
  }

  #live(): Redis {
    if (this.#closed) throw new WaybillError('closed', 'redis: the adapter is closed');
    if (this.#client?.status === 'ready') return this.#client;
    throw new WaybillError('disconnected', 'redis: not connected');
  }

  #keys(destination: Destination): StreamKeys {
    if (destination.ordered || destination.partitions !== null)
      throw new WaybillError(
        'unsupported',
        `redis: '${destination.name}' is ordered, which this adapter can't keep yet`,
      );
    return streamKeys(this.#settings.keyPrefix, destination);
  }

  /** @throws WaybillError `not-found` where it is missing and `make` is false. */
  async #create(client: Redis, stream: string, group: string, start: StartPosition, make: boolean): Promise<void> {
    const name = `${stream} ${group}`;
    const id = this.#seen.has(name) ? '0-0' : before(start);
    const done = String(await run<Buffer>(client, CREATE, [stream], [group, id, make ? '1' : '0'])) as Created;
    if (done === 'stream') throw new WaybillError('not-found', `redis: the stream '${stream}' does not exist`);
    if (done === 'group') throw new WaybillError('not-found', `redis: the stream '${stream}' has no group '${group}'`);
    this.#seen.add(name);
  }

  /** Records the retention that was asked for, so that every consumer trims alike. It is never altered. */
  async #keep(
    client: Redis,
    { settings }: StreamKeys,
    { name }: Destination,
    retention: number,
    make: boolean,
  ): Promise<void> {
    if (make) await client.hsetnx(settings, 'retention', retention);
    const found = await client.hget(settings, 'retention');
    if (found !== String(retention))
      throw new WaybillError(
        'invalid',
        `redis: '${name}' keeps settled messages for ${found ?? 'the default time'} (ms); asked for: ${retention}`,
      );
  }

  async #replay(client: Redis, { stream }: StreamKeys, start: StartPosition): Promise<AdapterSubscription> {
    await this.#create(client, stream, '', 'held', false);
    const [last] = await client.xrevrange(stream, '+', '-', 'COUNT', 1);
    const from = start === 'latest' ? '+' : `(${before(start)}`;
    return new RedisReplay(client, stream, from, start === 'latest' ? null : (last?.[0] ?? null));
  }

  async #lagOf(keys: StreamKeys, group: string): Promise<Lag | null> {
    const reply = await run<[number, number, number, number, Buffer, number, number]>(
      this.#live(),
      LAG,
      [keys.stream, keys.due],
      [group, LAG_CAP],
    );
    const [there, undelivered, pending, due, oldest, capped, now] = reply;
    if (there === 0) return null;
    const age = oldest.length === 0 ? null : Math.max(0, now - timeOf(oldest.toString()));
    return { count: undelivered + pending + due, age, exact: capped === 0 };
  }
}
