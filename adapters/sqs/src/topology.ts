import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Destination, type ProvisionSpec, WaybillError } from '@waybill/core/adapter';
import type { CallOptions, Calls, Connection } from './connection.ts';
import { classify } from './errors.ts';
import type { Layout } from './names.ts';
import type { Settings } from './options.ts';
import { MOST_BYTES } from './supports.ts';

/** SQS's longest, in seconds. What is not settled by then is gone. */
const RETENTION = 14 * 86_400;
/** A new queue can be used after a second, SQS says. */
const FRESH = 1_000;

type Attributes = Readonly<Record<string, string>>;

interface Groups {
  /** Of the group's queues. */
  names: readonly string[];
  /** When the call for them began. */
  asked: number;
}

/** The queues: made, verified, found by name, and the list of those that a topic's messages go to. */
export class Topology {
  readonly #connection: Connection;
  readonly #layout: Layout;
  readonly #settings: Settings;
  readonly #wanted: Attributes;
  readonly #urls = new Map<string, Promise<string>>();
  /** By topic: what `provision` was told of, and what was found. */
  readonly #declared = new Map<string, Set<string>>();
  readonly #found = new Map<string, Groups>();
  readonly #listing = new Map<string, Promise<readonly string[]>>();

  constructor(connection: Connection, layout: Layout, settings: Settings) {
    this.#connection = connection;
    this.#layout = layout;
    this.#settings = settings;
    this.#wanted = {
      MessageRetentionPeriod: String(RETENTION),
      MaximumMessageSize: String(MOST_BYTES),
      ...(settings.fifo && {
        FifoQueue: 'true',
        ContentBasedDeduplication: 'false',
        DeduplicationScope: 'messageGroup',
        FifoThroughputLimit: 'perMessageGroupId',
      }),
    };
  }

  /** A call about one queue. One that SQS does not know is looked up again next time. */
  async call<Name extends keyof Calls>(
    name: Name,
    queue: string,
    input: Omit<Calls[Name][0], 'QueueUrl'>,
    options?: CallOptions,
  ): Promise<Calls[Name][1]> {
    const QueueUrl = await this.url(queue);
    try {
      return await this.#connection.call(name, { ...input, QueueUrl }, options);
    } catch (error) {
      if (classify(error) === 'not-found') this.#forget(queue);
      throw error;
    }
  }

  /** @throws the SDK's QueueDoesNotExist */
  url(queue: string): Promise<string> {
    let url = this.#urls.get(queue);
    if (url === undefined) {
      url = this.#connection.call('GetQueueUrl', { QueueName: queue }).then(({ QueueUrl }) => QueueUrl ?? '');
      url.catch(() => this.#forget(queue));
      this.#urls.set(queue, url);
    }
    return url;
  }

  async provision({ topology, destination, groups }: ProvisionSpec, signal: AbortSignal): Promise<void> {
    const { kind, topic, address } = destination;
    if (address !== null && this.#settings.fanout === 'direct')
      throw new WaybillError(
        'invalid',
        `sqs: topic '${topic}' has the address '${address}', but a topic is no queue; give each group's queue in subscriptions['topic/group'].address`,
      );
    const queues =
      kind === 'topic'
        ? groups.map(({ group, address: queue }) => this.#layout.group(topic, group, queue))
        : [this.#layout.only(destination)];
    if (kind === 'topic') {
      for (const { group } of groups) this.#layout.check(topic, group);
      const declared = this.#declared.get(topic) ?? new Set();
      for (const queue of queues) declared.add(queue);
      this.#declared.set(topic, declared);
    }
    if (topology === 'none') return;
    const ages = await Promise.all(queues.map((queue) => this.#stand(queue, topology === 'create')));
    if (this.#settings.fanout === 'sns' && kind === 'topic') return; // SNS knows new groups at once
    if (topology === 'verify' && kind === 'topic' && (await this.targets(destination)).length === 0)
      throw new WaybillError('not-found', `sqs: topic '${topic}' has no group, so nothing would hold its messages`);
    // Publishers may know an older list of groups. Until it is too old for them, a new group is not said to be there (D1).
    const { groupRefresh } = this.#settings;
    const fresh = Math.min(FRESH, groupRefresh);
    const wait = (kind === 'topic' ? groupRefresh : 0) + fresh - Math.min(...ages, Infinity);
    if (wait > 0) await sleep(wait, undefined, { signal });
  }

  /** Whether a `provision` has named a group of this topic. */
  isDeclared(topic: string): boolean {
    return (this.#declared.get(topic)?.size ?? 0) > 0;
  }

  /** The queues to which a message goes. @throws what SQS says where it won't tell a topic's groups */
  async targets(destination: Destination): Promise<readonly string[]> {
    const { kind, topic } = destination;
    if (kind !== 'topic') return [this.#layout.only(destination)];
    const declared = this.#declared.get(topic);
    const found = this.#settings.discover ? await this.#groups(topic) : [];
    return declared === undefined ? found : [...new Set([...declared, ...found])];
  }

  async attributes(queue: string): Promise<Attributes> {
    const { Attributes } = await this.call('GetQueueAttributes', queue, { AttributeNames: ['All'] });
    return Attributes ?? {};
  }

  /** Makes the queue, or looks at it; returns its age in ms. */
  async #stand(queue: string, make: boolean): Promise<number> {
    try {
      const attributes = await this.attributes(queue);
      this.#checkRedrive(queue, attributes);
      if (!make) this.#verify(queue, attributes);
      const created = Number(attributes['CreatedTimestamp'] ?? 0) * 1_000;
      return Math.max(0, Date.now() - created - 999); // it is in whole seconds
    } catch (error) {
      if (classify(error) !== 'not-found' || WaybillError.is(error)) throw error;
      if (!make) throw new WaybillError('not-found', `sqs: the queue '${queue}' does not exist`);
    }
    const { tags, kmsKey } = this.#settings;
    await this.#connection.call('CreateQueue', {
      QueueName: queue,
      Attributes: { ...this.#wanted, ...(kmsKey !== null && { KmsMasterKeyId: kmsKey }) },
      ...(Object.keys(tags).length > 0 && { tags }),
    });
    this.#urls.delete(queue);
    return 0;
  }

  /** A native redrive takes messages away that core still tries, and on FIFO those that were never tried along with them. */
  #checkRedrive(queue: string, { RedrivePolicy: policy = '' }: Attributes): void {
    if (policy === '' || this.#settings.allowRedrivePolicy) return;
    throw new WaybillError(
      'unsupported',
      `sqs: the queue '${queue}' has a redrive policy (${policy.slice(0, 300)}), which gives up messages that Waybill still tries; remove it, or say allowRedrivePolicy: true`,
    );
  }

  /** What a server does not report is not different. */
  #verify(queue: string, attributes: Attributes): void {
    const different = Object.entries(this.#wanted)
      .filter(([name, value]) => attributes[name] !== undefined && attributes[name] !== value)
      .map(([name, value]) => `${name} is ${attributes[name]}, expected ${value}`);
    if (different.length > 0)
      throw new WaybillError('invalid', `sqs: the queue '${queue}' is not as needed: ${different.join('; ')}`);
  }

  #forget(queue: string): void {
    this.#urls.delete(queue);
    this.#found.clear();
  }

  /** The queues of a topic's groups, from a list no older than `groupRefresh`. */
  async #groups(topic: string): Promise<readonly string[]> {
    const known = this.#found.get(topic);
    const { groupRefresh } = this.#settings;
    if (known !== undefined && performance.now() - known.asked < groupRefresh) return known.names;
    if (groupRefresh === 0) return this.#list(topic);
    let listing = this.#listing.get(topic);
    if (listing === undefined) {
      const asked = performance.now();
      listing = this.#list(topic)
        .then((names) => {
          this.#found.set(topic, { names, asked });
          return names;
        })
        .finally(() => this.#listing.delete(topic));
      this.#listing.set(topic, listing);
    }
    return listing;
  }

  async #list(topic: string): Promise<readonly string[]> {
    const beginning = this.#layout.beginning(topic);
    const names: string[] = [];
    let token: string | undefined;
    do {
      // Without a maximum the answer ends at a thousand, and does not say so.
      const page = await this.#connection.call('ListQueues', {
        QueueNamePrefix: beginning,
        MaxResults: 1_000,
        ...(token !== undefined && { NextToken: token }),
      });
      for (const url of page.QueueUrls ?? []) {
        const queue = url.slice(url.lastIndexOf('/') + 1);
        if (this.#layout.isGroup(beginning, queue)) names.push(queue);
      }
      token = page.NextToken;
    } while (token !== undefined && token !== '');
    return names;
  }
}
