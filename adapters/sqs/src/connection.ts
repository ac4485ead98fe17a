import { performance } from 'node:perf_hooks';
import type * as SnsSdk from '@aws-sdk/client-sns';
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
  SetQueueAttributes: [Sdk.SetQueueAttributesRequest, object];
}

/** The same of SNS. */
export interface SnsCalls {
  CreateTopic: [SnsSdk.CreateTopicInput, SnsSdk.CreateTopicResponse];
  GetSubscriptionAttributes: [SnsSdk.GetSubscriptionAttributesInput, SnsSdk.GetSubscriptionAttributesResponse];
  GetTopicAttributes: [SnsSdk.GetTopicAttributesInput, SnsSdk.GetTopicAttributesResponse];
  ListSubscriptionsByTopic: [SnsSdk.ListSubscriptionsByTopicInput, SnsSdk.ListSubscriptionsByTopicResponse];
  ListTopics: [SnsSdk.ListTopicsInput, SnsSdk.ListTopicsResponse];
  PublishBatch: [SnsSdk.PublishBatchInput, SnsSdk.PublishBatchResponse];
  Subscribe: [SnsSdk.SubscribeInput, SnsSdk.SubscribeResponse];
}

/** Of any client of the SDK, what is used. */
interface Client {
  send(command: object, options: object): Promise<object>;
  destroy(): void;
}
type Command = new (input: object) => object;

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
  #snsSdk: typeof SnsSdk | null = null;
  #sns: Client | null = null;
  #unanswered = 0;
  #unansweredAt = 0;

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  /** Asks for something that isn't there: who answers is SQS, reached with a region and a key that it takes. */
  async open(signal: AbortSignal): Promise<Facts> {
    this.#sdk ??= await import('@aws-sdk/client-sqs');
    const { clients, fanout, fifo, name } = this.#settings;
    this.#rest ??= clients?.rest ?? this.#make(this.#sdk);
    this.#poll ??= clients?.poll ?? this.#make(this.#sdk);
    if (fanout === 'sns') {
      this.#snsSdk ??= await loadSns();
      this.#sns ??= (clients?.sns as Client | undefined) ?? this.#makeSns(this.#snsSdk);
    }
    this.#unanswered = 0;
    try {
      await this.call('GetQueueUrl', { QueueName: fifo ? `${NOBODY}.fifo` : NOBODY }, { signal });
    } catch (error) {
      if (codeOf(error) !== 'QueueDoesNotExist' && codeOf(error) !== 'NonExistentQueue') throw error;
    }
    return {
      queues: name,
      region: await this.#rest.config.region(),
      fanout: fanout === 'sns' ? 'SNS' : 'a send per group',
    };
  }

  call<Name extends keyof Calls>(
    name: Name,
    input: Calls[Name][0],
    options: CallOptions = {},
  ): Promise<Calls[Name][1]> {
    const client = name === 'ReceiveMessage' ? this.#poll : this.#rest;
    return this.#send(client, this.#sdk?.[`${name}Command`] as Command | undefined, input, options);
  }

  callSns<Name extends keyof SnsCalls>(name: Name, input: SnsCalls[Name][0]): Promise<SnsCalls[Name][1]> {
    return this.#send(this.#sns, this.#snsSdk?.[`${name}Command`] as Command | undefined, input, {});
  }

  async #send(
    client: Client | null,
    Command: Command | undefined,
    input: object,
    { patience = 0, signal }: CallOptions,
  ): Promise<object> {
    if (Command === undefined || client === null) throw new WaybillError('disconnected', 'sqs: not connected');
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
      this.#sns?.destroy();
    }
    this.#poll = this.#rest = this.#sns = null;
  }

  #make({ SQSClient }: typeof Sdk): Sdk.SQSClient {
    const { endpoint, md5 } = this.#settings;
    return new SQSClient({
      ...this.#shared(),
      ...(endpoint !== null && { endpoint, useQueueUrlAsEndpoint: false }),
      ...(!md5 && { md5: false as const }),
    });
  }

  #makeSns({ SNSClient }: typeof SnsSdk): Client {
    const { snsEndpoint: endpoint } = this.#settings;
    return new SNSClient({ ...this.#shared(), ...(endpoint !== null && { endpoint }) });
  }

  /** Without a single key that is undefined: the SDK takes some of those for a value. */
  #shared(): Pick<Sdk.SQSClientConfig, 'region' | 'credentials' | 'maxAttempts' | 'requestHandler'> {
    const { region, credentials, timeout } = this.#settings;
    const agent = { keepAlive: true, maxSockets: 500 };
    return {
      ...(region !== null && { region }),
      // The SDK writes into a key that it is given.
      ...(credentials !== null && {
        credentials: typeof credentials === 'function' ? credentials : { ...credentials },
      }),
      maxAttempts: 1,
      requestHandler: {
        connectionTimeout: Math.min(CONNECT_TIMEOUT, timeout),
        requestTimeout: timeout,
        throwOnRequestTimeout: true,
        httpAgent: agent,
        httpsAgent: agent,
      },
    };
  }
}

/** The package is asked for only where SNS is, and is no dependency. @throws WaybillError `not-found` without it */
export async function loadSns(
  load: () => Promise<typeof SnsSdk> = () => import('@aws-sdk/client-sns'),
): Promise<typeof SnsSdk> {
  try {
    return await load();
  } catch (error) {
    if (!['ERR_MODULE_NOT_FOUND', 'MODULE_NOT_FOUND'].includes((error as NodeJS.ErrnoException).code ?? ''))
      throw error;
    throw new WaybillError(
      'not-found',
      "sqs: fanout: 'sns' needs the package @aws-sdk/client-sns, which is not installed; run: npm install @aws-sdk/client-sns",
      { cause: error },
    );
  }
}

function lost(error: unknown): WaybillError {
  const said = error instanceof Error ? error.message || error.name : String(error);
  return new WaybillError('disconnected', `sqs: ${SILENCE} calls in a row had no answer: ${said}`, { cause: error });
}
