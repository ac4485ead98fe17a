import { randomBytes } from 'node:crypto';
import { loadAdapterPackage } from '@waybill/core';
import type { Adapter, AdapterConfig, AdapterModule } from '@waybill/core/adapter';
import {
  type BrokerProxy,
  describeNotRun,
  isNotRun,
  isRequired,
  type Losing,
  ProxyPool,
  type SqsBroker,
  type SqsStart,
  startBroker,
} from '@waybill/testbed';
import type { Fault } from '../case.ts';
import { timeFactor } from '../waiting.ts';
import { type FaultAction, type Harness, type Heal, type MissingTarget, NotAble, type Spy } from '../target.ts';

const module = '@waybill/sqs';

export interface SqsHarnessOptions {
  /** How to start the broker. */
  readonly start?: SqsStart;
  /** Options of the adapter, beside URL and queue prefix. */
  readonly adapter?: Readonly<Record<string, unknown>>;
}

/**
 * Lists of groups are short-lived, so that new groups are soon known, and leases short, so that what a killed consumer
 * held comes again while somebody is looking. ElasticMQ turns in circles while a poll waits on a FIFO queue whose groups
 * are all held, so polls don't wait there.
 */
function usual(name: 'sqs' | 'sqs-fifo'): Readonly<Record<string, unknown>> {
  // A machine that stalls for longer than a lease loses it, and the suite would see what is nobody's fault.
  const lease = 4_000 * Math.min(2, Math.max(1, timeFactor()));
  return { groupRefresh: '100ms', pollWait: name === 'sqs' ? '1s' : '0s', lease, timeout: '3s' };
}

/** What ElasticMQ can't judge on FIFO queues. */
const gaps: Readonly<Record<string, string>> = {
  'D3.the-sum-is-exact': 'fifty consumers on one FIFO queue are more than this emulator can serve',
};

/**
 * SQS, from the testbed: an emulator with every fault that SQS has, or what is at WAYBILL_SQS_URL, with none. All queues
 * of a run begin with a random prefix, and only those are ever deleted.
 *
 * @throws TestbedError when there is an address and nothing usable behind it
 */
export async function sqsHarness(
  name: 'sqs' | 'sqs-fifo',
  options: SqsHarnessOptions = {},
): Promise<Harness | MissingTarget> {
  const adapters = await loadAdapterPackage(module, 'the suite on SQS');
  const answer = await startBroker(name, options.start);
  if (isNotRun(answer))
    return {
      name,
      missing: describeNotRun(answer),
      required: isRequired(name, options.start?.env ?? process.env),
    };
  try {
    return await harnessOf(name, answer, adapters, options.adapter ?? {});
  } catch (error) {
    await answer[Symbol.asyncDispose]();
    throw error;
  }
}

async function harnessOf(
  name: 'sqs' | 'sqs-fifo',
  broker: SqsBroker,
  adapters: AdapterModule,
  options: Readonly<Record<string, unknown>>,
): Promise<Harness> {
  const pool = broker.can.kill === true ? await ProxyPool.open(broker) : null;
  // Names have 80 characters, so none is spent where nobody else is.
  const queuePrefix = pool === null ? `w${randomBytes(2).toString('hex')}-` : '';
  const config = (url: string): AdapterConfig => ({
    url,
    options: { ...usual(name), ...options, queuePrefix },
    client: 'waybill-suite',
  });
  const make = (url: string): Adapter => adapters.createAdapter(config(url));
  const proxies = new Map<Adapter, BrokerProxy>();
  const adapter = (): Adapter => {
    if (pool === null) return make(broker.url);
    const proxy = pool.take();
    const made = make(proxy.url);
    proxies.set(made, proxy);
    return Object.assign(made, { close: closing(made, () => pool.release(proxy)) });
  };
  const proxyOf = (made: Adapter): BrokerProxy => {
    const proxy = proxies.get(made);
    if (proxy === undefined) throw new NotAble('this adapter is none of the harness');
    return proxy;
  };
  const suffix = name === 'sqs-fifo' ? '.fifo' : '';
  const queues = new Queues(broker, queuePrefix, suffix);
  return {
    name,
    how: broker.how,
    kind: broker.kind,
    version: broker.version,
    supports: make(broker.url).supports,
    adapter,
    faults: pool === null ? {} : faultsOf(broker, pool, proxyOf, queues),
    spy: spyOf(broker, queues),
    knownGaps: name === 'sqs-fifo' && broker.kind === 'emulator' ? gaps : {},
    // One batch of a key at a time, each a request to a server in Java that polls for blocked groups.
    ...(name === 'sqs-fifo' && { pace: 3 }),
    address: (group) => `${queuePrefix}${group}${suffix}`,
    child: { module, config: config(pool?.take().url ?? broker.url) },
    healthy: () =>
      broker.call('ListQueues', { QueueNamePrefix: queuePrefix, MaxResults: 1 }).then(
        () => true,
        () => false,
      ),
    close: async (): Promise<void> => {
      try {
        if (pool === null) await queues.deleteAll();
      } finally {
        await broker[Symbol.asyncDispose]();
      }
    },
  };
}

/** Its `close`, and then the end of its proxy. */
function closing(adapter: Adapter, then: () => Promise<void>): () => Promise<void> {
  const close = adapter.close.bind(adapter);
  return async () => {
    try {
      await close();
    } finally {
      await then();
    }
  };
}

function sever(proxy: BrokerProxy): void {
  proxy.refuse();
  proxy.cut();
}

const done: Heal = () => Promise.resolve();

/** SQS itself never dies and forgets nothing, so neither does what plays it. */
function faultsOf(
  broker: SqsBroker,
  pool: ProxyPool,
  proxyOf: (adapter: Adapter) => BrokerProxy,
  queues: Queues,
): Partial<Record<Fault, FaultAction>> {
  const during = (adapters: readonly Adapter[], begin: (proxy: BrokerProxy) => void): Heal => {
    const end = pool.during(adapters.map(proxyOf), begin);
    return async () => end();
  };
  return {
    cut: async ({ adapters }) => during(adapters, sever),
    stall: async ({ adapters }) => during(adapters, (proxy) => proxy.stall()),
    'drop-responses': async ({ adapters }) => during(adapters, (proxy) => proxy.dropResponses()),
    slow: async ({ ms }) => during([], (proxy) => proxy.delay(ms / 2)), // there and back
    pause: async () => {
      await broker.pause();
      return () => broker.unpause();
    },
    'crash-connection': async ({ adapters }) => {
      during(adapters, sever);
      return done; // it is dead: nobody heals it
    },
    // Every message that Waybill sends has its id in a header, and nothing else that it asks for does.
    'unknown-outcome': async ({ adapters, count, stored }) => {
      const losing: Losing = { count, what: stored ? 'answer' : 'request', mark: 'waybill-id' };
      const end = pool.lose(adapters.map(proxyOf), losing);
      return async () => end();
    },
    'take-over': async ({ topic, group, deliveries }) => {
      const handles = deliveries.map(({ raw }) => (raw as { ReceiptHandle?: string }).ReceiptHandle ?? '');
      const QueueUrl = await queues.urlOf(topic ?? '', group ?? '');
      for (const ReceiptHandle of handles) {
        // Everybody may take it, and somebody does: a receipt that nobody has after it would still settle.
        await broker.call('ChangeMessageVisibility', { QueueUrl, ReceiptHandle, VisibilityTimeout: 0 });
      }
      if (handles.length === 0) throw new NotAble('this consumer holds nothing that can be taken from it');
      return done;
    },
  };
}

/** The queues of this run, without the adapter. */
class Queues {
  readonly #broker: SqsBroker;
  readonly #prefix: string;
  readonly #suffix: string;

  constructor(broker: SqsBroker, prefix: string, suffix: string) {
    this.#broker = broker;
    this.#prefix = prefix;
    this.#suffix = suffix;
  }

  get fifo(): boolean {
    return this.#suffix !== '';
  }

  /** Names without the prefix, and URLs. */
  async all(part = ''): Promise<{ readonly name: string; readonly url: string }[]> {
    const { QueueUrls = [] } = await this.#broker.call('ListQueues', {
      QueueNamePrefix: this.#prefix,
      MaxResults: 1_000,
    });
    return (QueueUrls as string[])
      .map((url) => ({ name: url.slice(url.lastIndexOf('/') + 1 + this.#prefix.length), url }))
      .filter(({ name }) => name.includes(part));
  }

  async urlOf(topic: string, group: string): Promise<string> {
    const name = `${topic}__${group}`.replaceAll('.', '_-') + this.#suffix;
    const found = (await this.all(name)).find((one) => one.name === name);
    if (found === undefined) throw new NotAble(`there is no queue ${name}`);
    return found.url;
  }

  /** Of all groups of a topic. */
  async ofTopic(topic: string): Promise<string[]> {
    const begins = `${topic.replaceAll('.', '_-')}__`;
    const groups = (await this.all(begins)).filter(({ name }) => name.startsWith(begins) && !name.includes('__dlq'));
    return groups.map(({ url }) => url);
  }

  async deleteAll(): Promise<void> {
    for (const { url } of await this.all()) await this.#broker.call('DeleteQueue', { QueueUrl: url });
  }
}

function spyOf(broker: SqsBroker, queues: Queues): Spy {
  const count = async (topic: string, group: string, ...kinds: string[]): Promise<number> => {
    const QueueUrl = await queues.urlOf(topic, group);
    const names = kinds.map((kind) => `ApproximateNumberOfMessages${kind}`);
    const { Attributes = {} } = await broker.call('GetQueueAttributes', { QueueUrl, AttributeNames: names });
    return names.reduce((sum, name) => sum + Number((Attributes as Record<string, string>)[name] ?? 0), 0);
  };
  return {
    objects: async (part) => (await queues.all(part)).map(({ name }) => name),
    depth: (topic, group) => count(topic, group, '', 'NotVisible', 'Delayed'),
    inFlight: (topic, group) => count(topic, group, 'NotVisible'),
    put: async (topic, { body, headers, key = null }) => {
      const urls = await queues.ofTopic(topic);
      if (urls.length === 0) throw new NotAble(`nobody has provisioned ${topic}`);
      const attributes = Object.entries(headers).map(([name, value]) => [
        name,
        typeof value === 'string'
          ? { DataType: 'String', StringValue: value }
          : { DataType: 'Binary', BinaryValue: Buffer.from(value).toString('base64') },
      ]);
      if (attributes.length > 10) throw new NotAble('SQS takes ten attributes');
      for (const QueueUrl of urls)
        await broker.call('SendMessage', {
          QueueUrl,
          MessageBody: Buffer.from(body).toString(),
          MessageAttributes: Object.fromEntries(attributes),
          ...(queues.fifo && {
            MessageGroupId: key ?? 'none',
            MessageDeduplicationId: randomBytes(8).toString('hex'),
          }),
        });
    },
  };
}
