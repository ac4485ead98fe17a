import { type Destination, type OutgoingMessage, type SendOutcome, WaybillError } from '@waybill/core/adapter';
import type { Connection } from './connection.ts';
import { delayExchange, heldBack } from './delays.ts';
import { Lane, type Parcel } from './lane.ts';
import { propertiesOf, view } from './message.ts';
import { exchangeOf, groupsOf, routingKey } from './names.ts';
import { exists } from './topology.ts';

/** What is published on one connection: a lane per destination, and one for all that is held back. */
export class Publishing {
  readonly #connection: Connection;
  readonly #lanes = new Map<string, Promise<Lane>>();
  /** Topics that have, or had, a group: what is held back for them comes to somebody. */
  readonly #grouped = new Set<string>();

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** One outcome per message, in order. Never rejects; when the signal fires, what is open is unknown. */
  async publish(
    destination: Destination,
    messages: readonly OutgoingMessage[],
    signal: AbortSignal,
  ): Promise<readonly SendOutcome[]> {
    const { blocked } = this.#connection;
    if (blocked !== null) {
      const error = new WaybillError('throttled', `rabbitmq: the server takes no messages at present: ${blocked}`);
      return messages.map(() => ({ status: 'rejected', error }));
    }
    try {
      const straight = await this.#lane(destination, false);
      const late = messages.some(({ delay }) => delay > 0) ? await this.#lane(destination, true) : straight;
      return await new Promise((resolve) => new Call(destination, messages, straight, late, signal, resolve).run());
    } catch (error) {
      // No lane, so nothing was sent.
      return messages.map(() => ({ status: 'rejected', error }));
    }
  }

  async #lane(destination: Destination, late: boolean): Promise<Lane> {
    const { kind, topic } = destination;
    if (late && kind === 'topic' && !this.#grouped.has(topic)) {
      if (!(await exists(this.#connection, (channel) => channel.checkExchange(groupsOf(topic)))))
        throw new WaybillError('not-found', `rabbitmq: '${topic}' has no group, so nobody would get what is held back`);
      this.#grouped.add(topic);
    }
    const exchange = late ? delayExchange : exchangeOf(destination);
    const known = this.#lanes.get(exchange);
    if (known !== undefined) {
      const lane = await known;
      if (lane.open) return lane;
      if (this.#lanes.get(exchange) === known) this.#lanes.delete(exchange);
      return this.#lane(destination, late);
    }
    const opening = Lane.open(this.#connection, exchange, late || kind !== 'topic');
    this.#lanes.set(exchange, opening);
    opening.catch(() => {
      if (this.#lanes.get(exchange) === opening) this.#lanes.delete(exchange);
    });
    return opening;
  }
}

/** One call of `publish`: all at once, except that a key's next message waits for the confirm of the one before. */
class Call {
  readonly #destination: Destination;
  readonly #messages: readonly OutgoingMessage[];
  readonly #straight: Lane;
  readonly #late: Lane;
  readonly #signal: AbortSignal;
  readonly #outcomes: (SendOutcome | undefined)[];
  readonly #end: (outcomes: readonly SendOutcome[]) => void;
  readonly #give: () => void;
  /** By index: the key's next message of this call, which was not sent yet. */
  readonly #next = new Map<number, number>();
  #open: number;
  #ended = false;

  constructor(
    destination: Destination,
    messages: readonly OutgoingMessage[],
    straight: Lane,
    late: Lane,
    signal: AbortSignal,
    resolve: (outcomes: readonly SendOutcome[]) => void,
  ) {
    this.#destination = destination;
    this.#messages = messages;
    this.#straight = straight;
    this.#late = late;
    this.#signal = signal;
    this.#outcomes = messages.map(() => undefined);
    this.#open = messages.length;
    this.#end = resolve;
    this.#give = () => this.#finish({ status: 'unknown', error: signal.reason as unknown });
  }

  run(): void {
    this.#signal.addEventListener('abort', this.#give, { once: true });
    if (this.#signal.aborted) return this.#finish({ status: 'rejected', error: this.#signal.reason as unknown });
    const lastOfKey = this.#destination.ordered ? new Map<string, number>() : null;
    for (let index = 0; index < this.#messages.length; index++) {
      const key = this.#messages[index]?.key ?? null;
      const before = key === null ? undefined : lastOfKey?.get(key);
      if (key !== null) lastOfKey?.set(key, index);
      if (before === undefined) this.#send(index);
      else this.#next.set(before, index);
    }
  }

  #send(index: number): void {
    const message = this.#messages[index] as OutgoingMessage;
    const lane = message.delay > 0 ? this.#late : this.#straight;
    lane.send(parcelOf(this.#destination, message), (outcome) => this.#settle(index, outcome));
  }

  #settle(index: number, outcome: SendOutcome): void {
    if (this.#ended) return;
    this.#outcomes[index] = outcome;
    this.#open--;
    const next = this.#next.get(index);
    if (next !== undefined) {
      this.#next.delete(index);
      if (outcome.status === 'confirmed') this.#send(next);
      else this.#settle(next, { status: 'skipped' });
    }
    if (this.#open === 0) this.#finish({ status: 'skipped' });
  }

  /** `rest`: what became of those that have no outcome. */
  #finish(rest: SendOutcome): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#signal.removeEventListener('abort', this.#give);
    const waiting = new Set(this.#next.values());
    this.#end(this.#outcomes.map((outcome, index) => outcome ?? (waiting.has(index) ? { status: 'skipped' } : rest)));
  }
}

function parcelOf(destination: Destination, message: OutgoingMessage): Parcel {
  const { partitions } = destination;
  const properties = propertiesOf(message);
  const key = routingKey(partitions, message.partition, message.type);
  const body = view(message.body);
  if (message.delay === 0) return { exchange: exchangeOf(destination), routingKey: key, body, properties };
  const { exchange, headers } = heldBack(exchangeOf(destination), message.delay);
  return {
    exchange,
    routingKey: key,
    body,
    properties: { ...properties, headers: { ...properties.headers, ...headers } },
  };
}
