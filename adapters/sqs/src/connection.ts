import { performance } from 'node:perf_hooks';
import type * as Sdk from '@aws-sdk/client-sqs';
import { type Facts, WaybillError } from '@waybill/core/adapter';
import { codeOf, isAnswer } from './errors.ts';
import type { Settings } from './options.ts';

/** Every call that the adapter makes, what it takes and what it gives. */
export interface Calls {
  ChangeMessageVisibilityBatch: [Sdk.ChangeMessageVisibilityBatchRequest, Sdk.ChangeMessageVisibilityBatchResult];
  CreateQueue: [Sdk.CreateQueueRequest, Sdk.CreateQueueResult];
  DeleteMessageBatch: [Sdk.DeleteMessageBatchRequest, Sdk.DeleteMessageBatchResult];
  GetQueueAttributes: [Sdk.GetQueueAttributesRequest, Sdk.GetQueueAttributesResult];
  GetQueueUrl: [Sdk.GetQueueUrlRequest, Sdk.GetQueueUrlResult];
  ListQueues: [Sdk.ListQueuesRequest, Sdk.ListQueuesResult];
  ReceiveMessage: [Sdk.ReceiveMessageRequest, Sdk.ReceiveMessageResult];
  SendMessageBatch: [Sdk.SendMessageBatchRequest, Sdk.SendMessageBatchResult];
}

export interface CallOptions {
  /** Milliseconds that the call takes by its own nature (a long poll), on top of the timeout. */
  readonly patience?: number;
  readonly signal?: AbortSignal;
}

/** So many calls in a row that nobody answered are a lost connection: one alone happens, and costs nothing. */
const SILENCE = 3;
const CONNECT_TIMEOUT = 3_000;
/** No queue has it, and whoever may ask at all is told so. */
const NOBODY = 'waybill-is-anybody-there';

/**
 * The calls to SQS. Two clients, since long polls would take the sockets that acks and lease extensions need. Nothing is
 * tried twice here: an answer that got lost would store a message twice, and core tries again where that is right.
 */
export class Connection {
  readonly #settings: Settings;
  #sdk: typeof Sdk | null = null;
  #rest: Sdk.SQSClient | null = null;
  #poll: Sdk.SQSClient | null = null;
  #unanswered = 0;
  #unansweredAt = 0;

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  /** Asks for something that isn't there: who answers is SQS, reached with a region and a key that it takes. */
  async open(signal: AbortSignal): Promise<Facts> {
    this.#sdk ??= await import('@aws-sdk/client-sqs');
    const { clients, fifo, name } = this.#settings;
    this.#rest ??= clients?.rest ?? this.#make(this.#sdk);
    this.#poll ??= clients?.poll ?? this.#make(this.#sdk);
    this.#unanswered = 0;
    try {
      await this.call('GetQueueUrl', { QueueName: fifo ? `${NOBODY}.fifo` : NOBODY }, { signal });
    } catch (error) {
      if (codeOf(error) !== 'QueueDoesNotExist' && codeOf(error) !== 'NonExistentQueue') throw error;
    }
    return { queues: name, region: await this.#rest.config.region(), fanout: 'a send per group' };
  }

  async call<Name extends keyof Calls>(
    name: Name,
    input: Calls[Name][0],
    { patience = 0, signal }: CallOptions = {},
  ): Promise<Calls[Name][1]> {
    const client = name === 'ReceiveMessage' ? this.#poll : this.#rest;
    if (this.#sdk === null || client === null) throw new WaybillError('disconnected', 'sqs: not connected');
    const Command = this.#sdk[`${name}Command`] as new (input: unknown) => Sdk.SendMessageBatchCommand;
    const requestTimeout = this.#settings.timeout + patience;
    const began = performance.now();
    try {
      const result = await client.send(new Command(input), {
        requestTimeout,
        ...(signal !== undefined && { abortSignal: signal }),
      });
      this.#unanswered = 0;
      return result;
    } catch (error) {
      if (isAnswer(error)) this.#unanswered = 0;
      else if (signal?.aborted !== true && this.#isSilent(began)) throw lost(error);
      throw error;
    }
  }

  /** Calls that were under way together have failed for one reason, so they count as one. */
  #isSilent(began: number): boolean {
    if (began > this.#unansweredAt) {
      this.#unanswered++;
      this.#unansweredAt = performance.now();
    }
    return this.#unanswered >= SILENCE;
  }

  /** Destroys the clients that were made here. */
  close(): void {
    if (this.#settings.clients === null) {
      this.#poll?.destroy();
      this.#rest?.destroy();
    }
    this.#poll = this.#rest = null;
  }

  /** Without a single key that is undefined: the SDK takes some of those for a value. */
  #make({ SQSClient }: typeof Sdk): Sdk.SQSClient {
    const { region, endpoint, credentials, md5, timeout } = this.#settings;
    const agent = { keepAlive: true, maxSockets: 500 };
    return new SQSClient({
      ...(region !== null && { region }),
      ...(endpoint !== null && { endpoint, useQueueUrlAsEndpoint: false }),
      // The SDK writes into a key that it is given.
      ...(credentials !== null && {
        credentials: typeof credentials === 'function' ? credentials : { ...credentials },
      }),
      ...(!md5 && { md5: false as const }),
      maxAttempts: 1,
      requestHandler: {
        connectionTimeout: Math.min(CONNECT_TIMEOUT, timeout),
        requestTimeout: timeout,
        throwOnRequestTimeout: true,
        httpAgent: agent,
        httpsAgent: agent,
      },
    });
  }
}

function lost(error: unknown): WaybillError {
  const said = error instanceof Error ? error.message || error.name : String(error);
  return new WaybillError('disconnected', `sqs: ${SILENCE} calls in a row had no answer: ${said}`, { cause: error });
}
