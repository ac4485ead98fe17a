import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Destination, type ProvisionSpec, WaybillError } from '@waybill/core/adapter';
import type { Connection, SnsCalls } from './connection.ts';
import { classify } from './errors.ts';
import type { Layout } from './names.ts';
import type { Settings } from './options.ts';
import { allows, allowing } from './policy.ts';
import type { Door } from './sender.ts';
import { MOST_SNS_BYTES } from './supports.ts';
import type { Topology } from './topology.ts';

const arnShape = /^arn:[\w-]+:sns:[a-z0-9-]+:\d{12}:[\w-]+(?:\.fifo)?$/;
/** What a new subscription may take to get messages, in ms. */
const FRESH = 1_000;

/** The SNS topics, and how the queues of groups are subscribed to them. */
export class SnsTopics {
  readonly #connection: Connection;
  readonly #topology: Topology;
  readonly #layout: Layout;
  readonly #settings: Settings;
  readonly #wanted: Readonly<Record<string, string>>;
  /** By the name at SNS. */
  readonly #arns = new Map<string, Promise<string>>();
  /** When a topic was last seen to have a subscription, monotonic ms, by ARN. */
  readonly #served = new Map<string, number>();

  constructor(connection: Connection, topology: Topology, layout: Layout, settings: Settings) {
    this.#connection = connection;
    this.#topology = topology;
    this.#layout = layout;
    this.#settings = settings;
    // Deduplication and throughput by message group, as on the queues.
    this.#wanted = settings.fifo
      ? { FifoTopic: 'true', ContentBasedDeduplication: 'false', FifoThroughputScope: 'MessageGroup' }
      : {};
  }

  /** Where a topic's messages go. Null when no group would get them: SNS takes those, too, and they are gone. */
  async door(destination: Destination): Promise<{ readonly arn: string; readonly door: Door } | null> {
    const arn = await this.#arn(destination);
    if (!(await this.#isServed(arn, destination.topic))) return null;
    return { arn, door: { mostBytes: MOST_SNS_BYTES, post: (entries) => this.#post(arn, entries) } };
  }

  /** Its groups' queues stand already. */
  async provision({ topology, destination, groups }: ProvisionSpec, signal: AbortSignal): Promise<void> {
    const make = topology === 'create';
    if (make && destination.address === null) this.#arns.set(this.#name(destination), this.#create(destination));
    const arn = await this.#arn(destination);
    await this.#check(arn);
    const subscribed = await this.#subscriptions(arn);
    const made = await Promise.all(
      groups.map(({ group, address }) =>
        this.#subscribe(this.#layout.group(destination.topic, group, address), { arn, subscribed, make }),
      ),
    );
    if (topology === 'verify' && subscribed.size === 0)
      throw new WaybillError(
        'not-found',
        `sqs: the SNS topic of '${destination.topic}' has no subscription, so nothing would hold its messages`,
      );
    if (made.includes(true)) await sleep(Math.min(FRESH, this.#settings.groupRefresh), undefined, { signal });
  }

  async #post(arn: string, entries: Parameters<Door['post']>[0]): ReturnType<Door['post']> {
    const reply = await this.#call('PublishBatch', arn, {
      TopicArn: arn,
      PublishBatchRequestEntries: entries.map(({ MessageBody, ...entry }) => ({
        ...entry,
        Message: MessageBody,
      })) as SnsCalls['PublishBatch'][0]['PublishBatchRequestEntries'],
    });
    // SNS's id of a message is not the one that SQS gives it.
    return { Successful: reply.Successful?.map(({ Id }) => ({ Id })), Failed: reply.Failed };
  }

  /** A call about one topic. One that SNS does not know is looked up again next time. */
  async #call<Name extends keyof SnsCalls>(
    name: Name,
    arn: string,
    input: SnsCalls[Name][0],
  ): Promise<SnsCalls[Name][1]> {
    try {
      return await this.#connection.callSns(name, input);
    } catch (error) {
      if (classify(error) === 'not-found') {
        this.#arns.clear();
        this.#served.delete(arn);
      }
      throw error;
    }
  }

  #name({ topic }: Destination): string {
    return this.#layout.snsTopic(topic);
  }

  /** @throws WaybillError `not-found` */
  #arn(destination: Destination): Promise<string> {
    const { address } = destination;
    if (address !== null) return Promise.resolve(this.#checkedAddress(address));
    const name = this.#name(destination);
    let arn = this.#arns.get(name);
    if (arn === undefined) {
      arn = this.#find(name);
      this.#arns.set(name, arn);
    }
    arn.catch(() => this.#arns.delete(name));
    return arn;
  }

  #checkedAddress(address: string): string {
    if (arnShape.test(address) && address.endsWith('.fifo') === this.#settings.fifo) return address;
    throw new WaybillError(
      'invalid',
      `sqs: the address '${address}' must be the ARN of a ${this.#settings.fifo ? 'FIFO' : 'standard'} SNS topic`,
    );
  }

  async #find(name: string): Promise<string> {
    let token: string | undefined;
    do {
      const page = await this.#connection.callSns('ListTopics', token === undefined ? {} : { NextToken: token });
      const found = page.Topics?.find(({ TopicArn = '' }) => TopicArn.endsWith(`:${name}`))?.TopicArn;
      if (found !== undefined) return found;
      token = page.NextToken;
    } while (token !== undefined && token !== '');
    throw new WaybillError('not-found', `sqs: the SNS topic '${name}' does not exist`);
  }

  /** SNS answers with the topic that is there. */
  async #create(destination: Destination): Promise<string> {
    const { tags, kmsKey } = this.#settings;
    const { TopicArn = '' } = await this.#connection.callSns('CreateTopic', {
      Name: this.#name(destination),
      Attributes: { ...this.#wanted, ...(kmsKey !== null && { KmsMasterKeyId: kmsKey }) },
      ...(Object.keys(tags).length > 0 && { Tags: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })) }),
    });
    return TopicArn;
  }

  /** What SNS does not report is not different. */
  async #check(arn: string): Promise<void> {
    const { Attributes = {} } = await this.#call('GetTopicAttributes', arn, { TopicArn: arn });
    const different = Object.entries(this.#wanted)
      .filter(([name, value]) => Attributes[name] !== undefined && Attributes[name] !== value)
      .map(([name, value]) => `${name} is ${Attributes[name]}, expected ${value}`);
    if (different.length > 0)
      throw new WaybillError('invalid', `sqs: the SNS topic '${arn}' is not as needed: ${different.join('; ')}`);
  }

  /** ARNs of subscriptions by those of their queues. */
  async #subscriptions(arn: string): Promise<Map<string, string>> {
    const found = new Map<string, string>();
    let token: string | undefined;
    do {
      const page = await this.#call('ListSubscriptionsByTopic', arn, {
        TopicArn: arn,
        ...(token !== undefined && { NextToken: token }),
      });
      for (const { Protocol, Endpoint = '', SubscriptionArn = '' } of page.Subscriptions ?? [])
        if (Protocol === 'sqs') found.set(Endpoint, SubscriptionArn);
      token = page.NextToken;
    } while (token !== undefined && token !== '');
    return found;
  }

  /** Whether it was not subscribed before. The queue's policy goes first: what SNS may not deliver is lost. */
  async #subscribe(
    queue: string,
    { arn, subscribed, make }: { arn: string; subscribed: ReadonlyMap<string, string>; make: boolean },
  ): Promise<boolean> {
    const { QueueArn = '', Policy = '' } = await this.#topology.attributes(queue);
    if (!allows(Policy, arn)) {
      if (!make) throw missing(`the queue '${queue}' does not let the SNS topic '${arn}' send`);
      const merged = allowing(queue, Policy, { topic: arn, queue: QueueArn });
      await this.#topology.call('SetQueueAttributes', queue, { Attributes: { Policy: merged } });
    }
    const subscription = subscribed.get(QueueArn);
    if (subscription !== undefined) {
      await this.#checkRaw(queue, subscription);
      return false;
    }
    if (!make) throw missing(`the queue '${queue}' is not subscribed to the SNS topic '${arn}'`);
    const Attributes = { RawMessageDelivery: 'true' };
    await this.#call('Subscribe', arn, { TopicArn: arn, Protocol: 'sqs', Endpoint: QueueArn, Attributes });
    return true;
  }

  async #checkRaw(queue: string, SubscriptionArn: string): Promise<void> {
    const { Attributes = {} } = await this.#connection.callSns('GetSubscriptionAttributes', { SubscriptionArn });
    const wrong = [
      ...(Attributes['RawMessageDelivery'] === 'true' ? [] : ['RawMessageDelivery is not true']),
      ...((Attributes['FilterPolicy'] ?? '') === '' ? [] : ['it has a FilterPolicy, so the group would miss messages']),
    ];
    if (wrong.length === 0) return;
    throw new WaybillError(
      'invalid',
      `sqs: the subscription of the queue '${queue}' to its SNS topic is not as needed: ${wrong.join('; ')}`,
    );
  }

  /** Knowledge as old as `groupRefresh` will do, unless it is that there is nobody. */
  async #isServed(arn: string, topic: string): Promise<boolean> {
    const { discover, groupRefresh } = this.#settings;
    if (!discover) return this.#topology.isDeclared(topic);
    const now = performance.now();
    if (now - (this.#served.get(arn) ?? Number.NEGATIVE_INFINITY) < groupRefresh) return true;
    const { size } = await this.#subscriptions(arn);
    if (size > 0) this.#served.set(arn, now);
    return size > 0;
  }
}

function missing(what: string): WaybillError {
  return new WaybillError('not-found', `sqs: ${what}`);
}
