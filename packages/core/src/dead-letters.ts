import type {
  AdapterSubscription,
  BrowsedMessage,
  Delivery,
  Destination,
  Headers,
  OutgoingMessage,
} from './contract.ts';
import { positionText } from './copies.ts';
import { envelopeOf } from './envelope.ts';
import { WaybillError } from './errors.ts';
import { sendIdOf } from './hash.ts';
import { partitionOf } from './murmur2.ts';
import { type Broker, DEAD_LETTER_GROUP } from './places.ts';
import type { ProvisionSpec } from './contract.ts';
import { quote } from './quote.ts';
import type { Route } from './route.ts';

/** A given-up message, with why (R5). */
export interface DeadMessage {
  readonly id: string;
  readonly time: Date;
  readonly key: string | null;
  readonly type: string | null;
  readonly headers: Headers;
  readonly body: Uint8Array;
  readonly topic: string;
  readonly group: string;
  readonly attempts: number;
  readonly firstFailure: Date | null;
  readonly lastFailure: Date | null;
  readonly error: string;
  readonly message: string;
  readonly code: string;
  readonly position: string;
}

export interface RedriveOptions {
  /** This one … */
  readonly id?: string;
  /** … or those for which this is true … */
  readonly where?: (message: DeadMessage) => boolean;
  /** … or all. */
  readonly all?: boolean;
  /** Most messages per second. */
  readonly rate?: number;
}

export interface DeadLettersOptions {
  readonly broker: Broker;
  readonly destination: Destination;
  readonly spec: ProvisionSpec;
  /** The inbox of the group that gave them up: the only place a redrive goes to. */
  readonly inbox: Route;
  readonly consumer: string;
}

/** Most that a redrive takes at once. */
const BATCH = 100;

/**
 * The dead-letter topic of one group. `list` and `peek` look without taking, where the broker can browse. `redrive` and
 * `purge` take messages one batch at a time: confirmed in the inbox first, then settled here, so a crash half-way
 * repeats some and loses none (R7).
 */
export class DeadLetters {
  readonly #options: DeadLettersOptions;

  constructor(options: DeadLettersOptions) {
    this.#options = options;
  }

  /** Up to `max` (default 100) messages, the oldest first. @throws WaybillError `unsupported` where it can't browse. */
  async list(options: { readonly max?: number } = {}): Promise<DeadMessage[]> {
    const { broker, destination, spec } = this.#options;
    this.#open('list');
    const { adapter } = broker.link;
    if (adapter.browse === undefined)
      throw new WaybillError(
        'unsupported',
        `${adapter.name} can't look at '${destination.name}' without taking its messages; redrive or purge them`,
      );
    await broker.link.provision(spec);
    try {
      const browsed = await adapter.browse(destination, null, options.max ?? 100);
      return browsed.map(deadMessage);
    } catch (error) {
      throw broker.link.wrap(error, `list of '${destination.name}'`);
    }
  }

  /** The message of this id, or null. Looks at no more than 10,000. */
  async peek(id: string): Promise<DeadMessage | null> {
    return (await this.list({ max: 10_000 })).find((message) => message.id === id) ?? null;
  }

  /**
   * Sends them back to the group that gave them up, attempts reset, and to no other group (R7). Takes only what lay
   * there when it began, so a message that fails again is not redriven in a circle.
   */
  async redrive(options: RedriveOptions): Promise<{ redriven: number }> {
    const { id, where, all, rate, ...others } = options;
    this.#open('redrive');
    const [stranger] = Object.keys(others);
    if (stranger !== undefined)
      throw new WaybillError('invalid', `redrive: ${stranger} is not an option; allowed: id, where, all, rate`);
    if (where !== undefined && typeof where !== 'function')
      throw new WaybillError('invalid', `redrive where is ${quote(where)}; allowed: a function`);
    if ([id, where, all === true ? all : undefined].filter((one) => one !== undefined).length !== 1)
      throw new WaybillError('invalid', 'redrive takes exactly one of id, where and all: true');
    if (rate !== undefined && !(typeof rate === 'number' && rate > 0))
      throw new WaybillError('invalid', `redrive rate is ${quote(rate)}; allowed: messages per second above 0`);
    const wanted = id === undefined ? (where ?? (() => true)) : (message: DeadMessage) => message.id === id;
    const redriven = await this.#take(
      wanted,
      async (delivery) => {
        await this.#options.broker.publisher.publish(this.#options.inbox, this.#again(delivery), false);
        if (rate !== undefined) await this.#options.broker.link.pause(1_000 / rate);
      },
      // No more at once than can be sent while their lease runs.
      rate === undefined ? BATCH : Math.max(1, Math.min(BATCH, Math.floor((rate * this.#lease) / 2_000))),
    );
    return { redriven };
  }

  /** Settles everything that lies there now. It is gone for good. */
  async purge(): Promise<{ purged: number }> {
    this.#open('purge');
    return {
      purged: await this.#take(
        () => true,
        () => Promise.resolve(),
        BATCH,
      ),
    };
  }

  #open(what: string): void {
    const { broker, destination } = this.#options;
    if (broker.link.state === 'closed')
      throw new WaybillError('closed', `${what} of '${destination.name}' after close`);
  }

  /** The message as it was before it failed, under a `sendId` of its own, or a dedup window would swallow it (E2). */
  #again(delivery: Delivery): OutgoingMessage {
    const { destination } = this.#options.inbox;
    const place =
      delivery.position === null ? (delivery.control?.dead?.['last'] ?? '') : positionText(delivery.position);
    return {
      ...envelopeOf(delivery),
      control: { attempt: 1, group: destination.group as string },
      sendId: sendIdOf(delivery.id, destination.name, `redrive ${place}`),
      partition:
        destination.partitions !== null && delivery.key !== null
          ? partitionOf(delivery.key, destination.partitions)
          : null,
      delay: 0,
    };
  }

  get #lease(): number {
    return this.#options.broker.link.adapter.supports.lease.default;
  }

  async #take(
    wanted: (message: DeadMessage) => boolean,
    each: (delivery: Delivery) => Promise<void>,
    most: number,
  ): Promise<number> {
    const { broker, destination, spec, consumer } = this.#options;
    const { link } = broker;
    const began = link.clock.now();
    await link.provision(spec);
    const subscription = await link.adapter
      .subscribe(
        {
          destination,
          group: DEAD_LETTER_GROUP,
          groupAddress: null,
          inbox: null,
          consumer: `${consumer}-redrive`,
          prefetch: 1_000,
          lease: this.#lease,
          start: 'held',
          bounded: false,
          filter: null,
          transactional: false,
          onRevoked: () => Promise.resolve(),
          onLost: () => undefined,
          onAssigned: () => undefined,
        },
        link.signal,
      )
      .catch((error: unknown) => {
        throw link.wrap(error, `redrive of '${destination.name}'`);
      });
    const left: Delivery[] = [];
    const stored = new Set<string>();
    const cumulative = link.adapter.supports.settle.mode === 'cumulative';
    let taken = 0;
    try {
      const expected = await this.#expected();
      let [seen, comeAgain] = [0, 0];
      for (let empty = 0; empty < 2 && seen < expected + comeAgain && left.length < 10_000;) {
        const deliveries = await subscription.receive(Math.min(most, expected + comeAgain - seen), link.signal);
        empty = deliveries.length === 0 ? empty + 1 : 0;
        for (const delivery of deliveries) {
          if (stored.has(delivery.id)) continue;
          seen++;
          // A record written after we began is a message that failed again: it stays.
          const late = Number(delivery.control?.dead?.['last'] ?? 0) > began;
          if (late || !wanted(deadMessage(delivery))) {
            left.push(delivery);
            continue;
          }
          await each(delivery);
          if (cumulative) await this.#storeAgain(left, delivery.partition, stored);
          const [settled] = await subscription.ack([delivery.receipt]);
          if (settled === 'ok') taken++;
          else if (comeAgain < BATCH) comeAgain++; // its lease is gone
        }
      }
      return taken;
    } catch (error) {
      throw link.wrap(error, `redrive of '${destination.name}' (${taken} done)`);
    } finally {
      await giveBack(subscription, left).catch(() => undefined);
      await subscription.close().catch(() => undefined);
    }
  }

  /** Where an ack settles everything before it, too, what is to stay there is first stored again, behind. */
  async #storeAgain(left: Delivery[], partition: number, stored: Set<string>): Promise<void> {
    const { broker, destination, spec } = this.#options;
    const route = broker.publisher.route(destination, spec);
    const before = left.filter((delivery) => delivery.partition === partition);
    await Promise.all(
      before.map((delivery) => {
        const sendId = sendIdOf(delivery.id, destination.name, `again ${positionText(delivery.position)}`);
        const message = { ...envelopeOf(delivery), sendId, partition: null, delay: 0 };
        return broker.publisher.publish(route, message, false);
      }),
    );
    for (const delivery of before) {
      stored.add(delivery.id);
      left.splice(left.indexOf(delivery), 1);
    }
  }

  /** How many lie there now, where the broker tells; else until it has no more. */
  async #expected(): Promise<number> {
    const { broker, destination } = this.#options;
    const { adapter } = broker.link;
    if (adapter.lag === undefined || !adapter.supports.lag.exact) return Infinity;
    return (await adapter.lag(destination, DEAD_LETTER_GROUP, null)).count;
  }
}

async function giveBack(subscription: AdapterSubscription, left: readonly Delivery[]): Promise<void> {
  if (left.length === 0 || subscription.nack === undefined) return;
  await subscription.nack(left.map((delivery) => delivery.receipt).toReversed(), {
    delay: 0,
    failed: false,
    attempt: 0,
  });
}

function deadMessage(record: BrowsedMessage | Delivery): DeadMessage {
  const dead = record.control?.dead ?? {};
  const time = (name: string): Date | null => (dead[name] === undefined ? null : new Date(Number(dead[name])));
  return {
    id: record.id,
    time: new Date(record.time),
    key: record.key,
    type: record.type,
    headers: record.headers,
    body: record.body,
    topic: dead['topic'] ?? '',
    group: dead['group'] ?? '',
    attempts: Number(dead['attempts'] ?? 0),
    firstFailure: time('first'),
    lastFailure: time('last'),
    error: dead['error'] ?? '',
    message: dead['message'] ?? '',
    code: dead['code'] ?? '',
    position: dead['position'] ?? '',
  };
}
