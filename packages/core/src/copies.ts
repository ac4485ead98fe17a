import type { Control, Destination, Headers, HeaderValue, OutgoingMessage, Position } from './contract.ts';
import { envelopeOf } from './envelope.ts';
import { ERROR_CODES, WaybillError } from './errors.ts';
import type { Events } from './events.ts';
import { sendIdOf } from './hash.ts';
import type { Held } from './held.ts';
import type { Link } from './link.ts';
import { partitionOf } from './murmur2.ts';
import { headerProblem, refusal } from './outgoing.ts';
import type { Plan } from './plan.ts';
import type { Publisher } from './publisher.ts';
import type { Route } from './route.ts';

const PAUSE_MIN = 100;
const PAUSE_MAX = 10_000;
/** Dead-letter headers are for people: enough of a message to understand it, not enough to break a size limit. */
const MESSAGE_LIMIT = 1_000;

/** The routes that a subscription's copies take, provisioned with it. */
export interface CopyRoutes {
  readonly inbox: Route | null;
  readonly deadLetter: Route | null;
}

export interface CopiesOptions {
  readonly link: Link;
  readonly publisher: Publisher;
  readonly events: Events;
  readonly routes: CopyRoutes;
  readonly plan: Pick<Plan, 'topic' | 'group' | 'transactional'>;
}

/**
 * Copies of deliveries: requeued to the group inbox, or given up to the dead-letter topic. A copy is confirmed before
 * its original is settled (R6): a crash between the two makes a duplicate, never a loss.
 */
export class Copies {
  readonly #link: Link;
  readonly #publisher: Publisher;
  readonly #events: Events;
  readonly #routes: CopyRoutes;
  readonly #topic: string;
  readonly #group: string;
  readonly #transactional: boolean;

  constructor({ link, publisher, events, routes, plan }: CopiesOptions) {
    this.#link = link;
    this.#publisher = publisher;
    this.#events = events;
    this.#routes = routes;
    this.#topic = plan.topic;
    this.#group = plan.group;
    this.#transactional = plan.transactional;
  }

  /** `held.attempt` is the attempt that the copy will be. */
  requeue(held: Held, delay: number, ended: (confirmed: boolean) => void): void {
    const { requeue } = this.#link.adapter.supports;
    const native = requeue.by === 'native';
    const control: Control = {
      ...keptControl(held),
      attempt: held.attempt,
      group: this.#group,
      notBefore: Math.ceil(this.#link.clock.now() + delay),
    };
    const route = this.#routes.inbox as Route;
    const brokerDelay = native ? Math.min(delay, requeue.max ?? delay) : 0;
    this.#send(held, route, copyOf(held, route.destination, control, brokerDelay), ended);
  }

  deadLetter(held: Held, error: WaybillError, code: string, ended: (confirmed: boolean) => void): void {
    const now = this.#link.clock.now();
    const control: Control = {
      ...keptControl(held),
      dead: {
        topic: this.#topic,
        group: this.#group,
        attempts: String(held.attempt),
        first: String(held.firstFailure || now),
        last: String(held.lastFailure || now),
        error: headerSafe(error.cause instanceof Error ? error.cause.name : error.name, 200),
        message: headerSafe(error.message, MESSAGE_LIMIT),
        code: headerSafe(code, 200),
        position: positionText(held.delivery.position),
      },
    };
    const route = this.#routes.deadLetter as Route;
    this.#send(held, route, copyOf(held, route.destination, control, 0), ended);
  }

  #send(held: Held, route: Route, message: OutgoingMessage, ended: (confirmed: boolean) => void): void {
    if (this.#transactional) this.#transact(held, route.destination, message, ended);
    else void this.#untilConfirmed(held, route, message, ended);
  }

  /** The copy is all that comes of its original, and goes out with the original's ack (T1). */
  #transact(held: Held, destination: Destination, message: OutgoingMessage, ended: (confirmed: boolean) => void): void {
    let sent = message;
    for (let tries = 0; tries < 3; tries++) {
      const refused = refusal(sent, destination, this.#link.adapter.supports);
      if (refused === null) break;
      sent = refused.code === 'too-large' ? slimmer(sent) : lawful(sent);
    }
    held.outputs = [{ destination, message: sent }];
    held.onAcked = (settled) => {
      held.onAcked = null;
      held.settled = settled;
      ended(settled);
    };
    held.attachment.ack(held);
  }

  /** Again and again, with growing pauses, until it is confirmed or the original is no longer ours to settle. */
  async #untilConfirmed(
    held: Held,
    route: Route,
    message: OutgoingMessage,
    ended: (confirmed: boolean) => void,
  ): Promise<void> {
    let sent = message;
    for (let attempt = 0; ; attempt++) {
      try {
        await this.#publisher.publish(route, sent, false);
        ended(true);
        return;
      } catch (error) {
        const failure = this.#link.wrap(error, `copy to '${route.destination.name}'`);
        this.#events.emit('copy-failed', {
          topic: this.#topic,
          group: this.#group,
          id: held.delivery.id,
          error: failure,
        });
        if (held.lost || !held.attachment.alive || failure.code === 'closed' || this.#link.signal.aborted) {
          ended(false);
          return;
        }
        if (failure.code === 'too-large') sent = slimmer(sent);
        else if (failure.code === 'invalid') sent = lawful(sent);
        else if (!ERROR_CODES[failure.code].retriable) this.#link.forgetProvisioned();
        await this.#link.pause(Math.min(PAUSE_MAX, PAUSE_MIN * 2 ** attempt));
      }
    }
  }
}

/** What of the control headers a copy carries on: the publisher's expiry. */
function keptControl(held: Held): Control {
  const expires = held.delivery.control?.expires;
  return expires === undefined ? {} : { expires };
}

function copyOf(held: Held, destination: Destination, control: Control, delay: number): OutgoingMessage {
  const { delivery } = held;
  const at = delivery.position === null ? sendOf(held) : positionText(delivery.position);
  // The inbox counts its positions by itself, so the same place in the topic is another one.
  const place = delivery.origin === 'inbox' ? `inbox ${at}` : at;
  return {
    ...envelopeOf(delivery),
    control,
    sendId: sendIdOf(delivery.id, destination.name, place),
    partition:
      destination.partitions !== null && delivery.key !== null
        ? partitionOf(delivery.key, destination.partitions)
        : null,
    delay,
  };
}

/** Where there is no position, the send that a delivery came from tells its copy from the copies of others. */
function sendOf({ delivery, attempt }: Held): string {
  return delivery.sendId ?? `${attempt} ${delivery.deliveryCount ?? 0}`;
}

/** `3:4711`, several joined by commas; empty where the broker tells no position. */
export function positionText(position: Position | null): string {
  if (position === null) return '';
  return Object.entries(position)
    .map(([partition, place]) => `${partition}:${place}`)
    .join(',');
}

/** A record that is over the broker's limit loses its error message first, then the user's headers; never its body. */
function slimmer(message: OutgoingMessage): OutgoingMessage {
  const { dead } = message.control ?? {};
  if (dead !== undefined && (dead['message'] ?? '') !== '')
    return { ...message, control: { ...message.control, dead: { ...dead, message: '' } } };
  return { ...message, headers: Object.create(null) as Headers };
}

/** A stranger may write headers that nobody may publish, such as one without a name: they would hold the copy up for ever. */
function lawful(message: OutgoingMessage): OutgoingMessage {
  const headers = Object.create(null) as Record<string, HeaderValue>;
  for (const [name, value] of Object.entries(message.headers))
    if (headerProblem(name, message.headers) === null) headers[name] = value;
  return { ...message, headers };
}

/** One line without control or bidi characters, cut at `limit`. */
function headerSafe(text: string, limit: number): string {
  const line = text.replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, ' ').toWellFormed();
  return line.length <= limit ? line : `${line.slice(0, limit - 1).toWellFormed()}…`;
}
