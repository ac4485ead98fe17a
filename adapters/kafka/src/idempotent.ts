import { CompressionTypes, Kafka, type Producer } from 'kafkajs';
import type { Produce, SendResult } from './publish.ts';
import { clientOptions, Sockets } from './connection.ts';
import { typeOf } from './errors.ts';
import type { Settings } from './options.ts';

/** How one request is repeated within a publish: for some ten seconds. */
const retry = { retries: 8, initialRetryTime: 100, maxRetryTime: 2_000 };

/**
 * kafkajs' idempotent producer: it repeats a request under the same sequence, and the broker stores it once. It loses
 * messages unless one request is under way at a time, and unless the producer is thrown away after any that failed.
 */
export class IdempotentRequests {
  readonly #settings: Settings;
  #producer: Promise<Producer> | null = null;
  #sockets: Sockets | null = null;
  #turn: Promise<unknown> = Promise.resolve();
  /** The last base offset of each partition: on one producer it can only rise. */
  #bases = new Map<string, bigint>();

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  readonly produce: Produce = (topic, batches) => {
    const sending = this.#turn.then(() => this.#send(topic, batches));
    this.#turn = sending;
    return sending;
  };

  async close(): Promise<void> {
    await this.#discard();
  }

  async #send(topic: string, batches: Parameters<Produce>[1]): Promise<readonly SendResult[]> {
    const results: SendResult[] = [];
    // One partition at a time, so that each has its own outcome.
    for (const { partition, records } of batches) {
      try {
        this.#producer ??= this.#connect();
        const producer = await this.#producer;
        const [answer] = await producer.send({
          topic,
          acks: -1,
          compression: this.#settings.gzip ? CompressionTypes.GZIP : CompressionTypes.None,
          messages: records.map((record) => ({ ...record, headers: { ...record.headers }, partition })),
        });
        const base = answer?.baseOffset ?? '0';
        if (BigInt(base) <= (this.#bases.get(`${topic} ${partition}`) ?? -1n))
          throw new Error('the broker has taken this request for an earlier one');
        this.#bases.set(`${topic} ${partition}`, BigInt(base));
        results.push({ base });
      } catch (error) {
        await this.#discard();
        results.push({
          error,
          stored: /TOO_LARGE|AUTHORIZATION|UNKNOWN_TOPIC|^INVALID_/.test(typeOf(error)) ? 'no' : 'maybe',
        });
      }
    }
    return results;
  }

  async #connect(): Promise<Producer> {
    this.#sockets = new Sockets(this.#settings);
    this.#bases = new Map();
    const kafka = new Kafka({ ...clientOptions(this.#settings, 'idempotent', this.#sockets.factory), retry });
    const producer = kafka.producer({
      idempotent: true,
      maxInFlightRequests: 1,
      allowAutoTopicCreation: false,
      createPartitioner:
        () =>
        ({ message }) =>
          message.partition ?? 0,
      retry,
    });
    await producer.connect();
    return producer;
  }

  async #discard(): Promise<void> {
    const old = this.#producer;
    this.#producer = null;
    this.#sockets?.cut();
    await old?.then((producer) => producer.disconnect()).catch(() => undefined);
  }
}
