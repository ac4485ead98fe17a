import { setTimeout as sleep } from 'node:timers/promises';
import { type Destination, type ProvisionSpec, WaybillError } from '@waybill/core/adapter';
import type { Channel, Options } from 'amqplib';
import type { Connection } from './connection.ts';
import { bindDelays, delayExchange, makeDelays } from './delays.ts';
import { countOf, deadLettersOf, exchangeOf, groupsOf, inboxOf, partitionPattern, queuesOf } from './names.ts';
import type { Settings } from './options.ts';

/** A server that is killed while a quorum queue is younger than this may lose what it had confirmed (measured: 1.2 s). */
const YOUTH = 1_500;
/** So often a dead-letter queue may be looked at; without a limit 3.10 would change its order, and 4.0 would drop. */
const LOOKS = 1_000_000;

type Wanted = Pick<Settings, 'queues' | 'maxLength' | 'deliveryLimit' | 'delays'>;
type Group = ProvisionSpec['groups'][number];

/** Makes exchanges, queues and bindings, or says what is missing. What exists is never altered. */
export class Topology {
  readonly #settings: Wanted;
  /** When the quorum queues made here stop being young, by name. */
  readonly #grown = new Map<string, number>();

  constructor(settings: Wanted) {
    this.#settings = settings;
  }

  /** @throws WaybillError `not-found` for what is missing, `invalid` for what is there and different */
  async provision(connection: Connection, spec: ProvisionSpec, signal: AbortSignal): Promise<void> {
    const { topology, destination } = spec;
    await this.#count(connection, destination, topology === 'create');
    if (topology === 'verify') await this.#verify(connection, spec);
    if (topology === 'create') await this.#create(connection, spec, signal);
  }

  async #create(connection: Connection, { destination, groups }: ProvisionSpec, signal: AbortSignal): Promise<void> {
    const exchange = exchangeOf(destination);
    if (destination.kind === 'dead-letter') {
      const there = await exists(connection, (channel) => channel.checkQueue(exchange));
      await declaring(connection, (channel) => this.#makeDeadLetters(channel, exchange));
      await this.#grow([exchange], !there, signal);
      return;
    }
    if (destination.address === null)
      await declaring(connection, (channel) => channel.assertExchange(exchange, 'topic', { durable: true }));
    else await mustExist(connection, `exchange '${exchange}'`, (channel) => channel.checkExchange(exchange));
    for (const group of groups) await this.#createGroup(connection, destination, group, signal);
  }

  /** Bound to the topic last: from then on messages come, and nothing of it is young any more. */
  async #createGroup(
    connection: Connection,
    destination: Destination,
    { group, address }: Group,
    signal: AbortSignal,
  ): Promise<void> {
    const { topic, partitions } = destination;
    const exchange = exchangeOf(destination);
    const [inbox, deadLetters] = [inboxOf(topic, group), deadLettersOf(topic, group)];
    const queues = queuesOf(destination, group, address);
    // Made in order, so where the last one is there, all are.
    const last = queues.at(-1)?.queue ?? '';
    const mapped = address !== null && (await exists(connection, (channel) => channel.checkQueue(last)));
    const newest = mapped ? deadLetters : last;
    const there = await exists(connection, (channel) => channel.checkQueue(newest));
    await declaring(connection, async (channel) => {
      await this.#makeDeadLetters(channel, deadLetters);
      await channel.assertExchange(inbox, 'topic', { durable: true });
      for (const { queue, partition } of queues) {
        // A mapped queue is another program's: its arguments are not ours to judge.
        if (!mapped) await channel.assertQueue(queue, this.#groupQueue(destination, deadLetters));
        await channel.bindQueue(queue, inbox, partitionPattern(partitions, partition));
      }
    });
    const made = queues.map(({ queue }) => queue);
    if (this.#settings.delays && !destination.ordered)
      made.push(...(await this.#createDelays(connection, there, [exchange, inbox], topic)));
    await this.#grow([deadLetters, ...made], !there, signal);
    await declaring(connection, async (channel) => {
      // By way of the inbox a message would cost the server half as much again. What another program's exchange does with
      // patterns is not known, so that one leads to the inbox, which knows the partitions.
      if (destination.address !== null) await channel.bindExchange(inbox, exchange, '#');
      else
        for (const { queue, partition } of queues)
          await channel.bindQueue(queue, exchange, partitionPattern(partitions, partition));
    });
  }

  async #createDelays(
    connection: Connection,
    known: boolean,
    exchanges: readonly string[],
    topic: string,
  ): Promise<readonly string[]> {
    const there = known || (await exists(connection, (channel) => channel.checkExchange(delayExchange)));
    await declaring(connection, async (channel) => {
      if (!there) await makeDelays(channel);
      for (const exchange of exchanges) await bindDelays(channel, exchange);
      await channel.assertExchange(groupsOf(topic), 'fanout', { durable: true });
    });
    return there ? [] : [delayExchange];
  }

  async #makeDeadLetters(channel: Channel, name: string): Promise<void> {
    await channel.assertExchange(name, 'fanout', { durable: true });
    const quorum = { 'x-queue-type': 'quorum', 'x-delivery-limit': LOOKS };
    await channel.assertQueue(name, {
      durable: true,
      arguments: this.#settings.queues === 'quorum' ? quorum : { 'x-queue-type': 'classic' },
    });
    await channel.bindQueue(name, name, '');
  }

  #groupQueue({ partitions }: Destination, deadLetters: string): Options.AssertQueue {
    const { queues, maxLength, deliveryLimit } = this.#settings;
    return {
      durable: true,
      arguments: {
        'x-queue-type': queues,
        'x-dead-letter-exchange': deadLetters,
        'x-overflow': 'reject-publish',
        ...(queues === 'quorum' && {
          'x-delivery-limit': deliveryLimit,
          'x-dead-letter-strategy': 'at-least-once',
        }),
        ...(maxLength !== null && { 'x-max-length': maxLength }),
        ...(partitions !== null && { 'x-single-active-consumer': true }),
      },
    };
  }

  /** Waits until none of these queues is young. */
  async #grow(queues: readonly string[], made: boolean, signal: AbortSignal): Promise<void> {
    if (this.#settings.queues === 'classic') return;
    const now = performance.now();
    if (made) for (const queue of queues) if (!this.#grown.has(queue)) this.#grown.set(queue, now + YOUTH);
    const until = Math.max(0, ...queues.map((queue) => this.#grown.get(queue) ?? 0));
    if (until > now) await sleep(until - now, undefined, { signal });
  }

  async #verify(connection: Connection, { destination, groups }: ProvisionSpec): Promise<void> {
    const missing: string[] = [];
    const exchange = async (name: string): Promise<void> => {
      if (!(await exists(connection, (channel) => channel.checkExchange(name)))) missing.push(`exchange '${name}'`);
    };
    const queue = async (name: string): Promise<void> => {
      if (!(await exists(connection, (channel) => channel.checkQueue(name)))) missing.push(`queue '${name}'`);
    };
    await exchange(exchangeOf(destination));
    if (destination.kind === 'dead-letter') await queue(destination.name);
    else
      for (const { group, address } of groups) {
        await exchange(inboxOf(destination.topic, group));
        await queue(deadLettersOf(destination.topic, group));
        for (const one of queuesOf(destination, group, address)) await queue(one.queue);
        if (this.#settings.delays && !destination.ordered) await exchange(delayExchange);
      }
    if (missing.length > 0)
      throw new WaybillError(
        'not-found',
        `rabbitmq: '${destination.name}' is not complete: no ${missing.join(', no ')}`,
      );
  }

  /**
   * Records the number of partitions, or compares it with the recorded one: with another, a key would have two homes (O7).
   *
   * @throws WaybillError `invalid`
   */
  async #count(connection: Connection, { partitions, topic, kind }: Destination, make: boolean): Promise<void> {
    if (partitions === null || kind === 'dead-letter') return;
    const name = countOf(topic);
    if (!make && !(await exists(connection, (channel) => channel.checkQueue(name)))) return;
    const queue = { durable: true, maxLength: partitions, arguments: { 'x-queue-type': 'classic' } };
    try {
      await connection.aside((channel) => channel.assertQueue(name, queue));
    } catch (error) {
      const recorded = inequivalent(error)?.current;
      if (recorded === undefined) throw error;
      throw new WaybillError(
        'invalid',
        `rabbitmq: '${topic}' has ${recorded} partitions, and ${partitions} are configured; a key would have two homes`,
      );
    }
  }
}

/** Whether a passive declare finds it. */
export async function exists(connection: Connection, look: (channel: Channel) => Promise<unknown>): Promise<boolean> {
  try {
    await connection.aside(look);
    return true;
  } catch (error) {
    if ((error as { code?: unknown }).code === 404) return false;
    throw error;
  }
}

async function mustExist(
  connection: Connection,
  what: string,
  look: (channel: Channel) => Promise<unknown>,
): Promise<void> {
  if (!(await exists(connection, look))) throw new WaybillError('not-found', `rabbitmq: there is no ${what}`);
}

/** Declares; what is there and different is named, with the argument that differs, and left as it is. */
async function declaring(connection: Connection, declare: (channel: Channel) => Promise<unknown>): Promise<void> {
  try {
    await connection.aside(declare);
  } catch (error) {
    const differs = inequivalent(error);
    if (differs === null) throw error;
    const { object, argument, wanted, current } = differs;
    throw new WaybillError(
      'invalid',
      `rabbitmq: ${object} is there with another ${argument}: ${current}; wanted: ${wanted}. It was left as it is`,
      { cause: error },
    );
  }
}

const inequivalence =
  /inequivalent arg '([^']+)' for (\w+ '[^']+').*: received (?:the value )?(none|'[^']*')(?: of type '\w+')? but current is (?:the value )?(none|'[^']*')/;

function inequivalent(
  error: unknown,
): { readonly object: string; readonly argument: string; readonly wanted: string; readonly current: string } | null {
  const [, argument, object, wanted, current] = inequivalence.exec(error instanceof Error ? error.message : '') ?? [];
  if (argument === undefined || object === undefined || wanted === undefined || current === undefined) return null;
  return { argument, object, wanted, current };
}
