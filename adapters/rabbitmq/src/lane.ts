import { type SendOutcome, WaybillError } from '@waybill/core/adapter';
import type { ConfirmChannel, Options } from 'amqplib';
import type { Connection } from './connection.ts';

/** One message on its way, until its confirm. */
interface Pending {
  readonly id: string | undefined;
  readonly routingKey: string;
  readonly size: number;
  returned: boolean;
}

export interface Parcel {
  readonly exchange: string;
  readonly routingKey: string;
  readonly body: Buffer;
  readonly properties: Options.Publish;
}

const confirmed: SendOutcome = Object.freeze({ status: 'confirmed', position: null });

/**
 * A confirm channel for one destination, so that what the server refuses there ends no publish elsewhere. It lives once.
 * Each message has its own outcome: of its confirm, of its return, or of the channel's end.
 */
export class Lane {
  readonly #connection: Connection;
  readonly #channel: ConfirmChannel;
  /** Whether one queue takes it all: then what was nacked is stored nowhere. */
  readonly #single: boolean;
  /** Unconfirmed, in the order of their sending. */
  readonly #pending = new Set<Pending>();
  #error: Error | null = null;
  #open = true;

  private constructor(connection: Connection, channel: ConfirmChannel, single: boolean) {
    this.#connection = connection;
    this.#channel = channel;
    this.#single = single;
    channel.on('error', (error) => (this.#error ??= error));
    channel.on('close', () => (this.#open = false));
    channel.on('return', ({ fields, properties }) => {
      const id: unknown = properties.messageId;
      for (const one of this.#pending) {
        if (one.returned || one.id !== id || one.routingKey !== fields.routingKey) continue;
        one.returned = true;
        return;
      }
    });
  }

  /** @throws when the exchange is missing: publishing to it would end the channel, and with it the outcome of others */
  static async open(connection: Connection, exchange: string, single: boolean): Promise<Lane> {
    const channel = await connection.openConfirmChannel();
    const lane = new Lane(connection, channel, single);
    await channel.checkExchange(exchange);
    return lane;
  }

  get open(): boolean {
    return this.#open;
  }

  /** Calls `done` once, never before it returns. */
  send({ exchange, routingKey, body, properties }: Parcel, done: (outcome: SendOutcome) => void): void {
    const one: Pending = { id: properties.messageId, routingKey, size: body.byteLength, returned: false };
    this.#pending.add(one);
    try {
      this.#channel.publish(exchange, routingKey, body, properties, (error: unknown) => {
        this.#pending.delete(one);
        if (error === null) done(one.returned ? unroutable(exchange) : confirmed);
        else queueMicrotask(() => done(this.#failed(one, error))); // a connection ends its channels before itself
      });
    } catch (error) {
      // Nothing was written: the channel was closed before, or the message can't be encoded.
      this.#pending.delete(one);
      queueMicrotask(() => done({ status: 'rejected', error: this.#open ? error : this.#reason(error) }));
    }
  }

  #failed({ size }: Pending, error: unknown): SendOutcome {
    if (error instanceof Error && error.message === 'message nacked')
      return { status: this.#single ? 'rejected' : 'unknown', error };
    const reason = this.#reason(error);
    const [, refused] = /message size (\d+) /.exec(reason.message) ?? [];
    if (refused === undefined) return { status: 'unknown', error: reason };
    // One message was too large for this server; the others only shared its channel.
    if (Number(refused) === size) return { status: 'rejected', error: reason };
    return { status: 'unknown', error: new Error('Channel closed for another message') };
  }

  #reason(error: unknown): Error {
    if (!this.#connection.alive) return this.#connection.error;
    return (
      this.#error ??
      (error instanceof Error ? new Error('Channel closed', { cause: error }) : new Error('Channel closed'))
    );
  }
}

function unroutable(exchange: string): SendOutcome {
  return {
    status: 'rejected',
    error: new WaybillError(
      'not-found',
      `rabbitmq: no queue takes what is published to '${exchange}': it has no group`,
    ),
  };
}
