import { randomBytes } from 'node:crypto';
import { subscribe } from 'node:diagnostics_channel';
import type { ClientRequest } from 'node:http';
import type { Adapter, AdapterConfig, AdapterModule } from '@waybill/core/adapter';
import type { SqsBroker, SqsStart } from '@waybill/testbed';
import { type FaultAction, type Harness, type MissingTarget, NotAble, type Spy } from '../target.ts';
import { timeFactor } from '../waiting.ts';
import { Connections, done, startHarness } from './started.ts';

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
  // A machine that stalls for longer than a lease loses it, and a send that is answered late is unknown: the suite would
  // see what is nobody's fault.
  const slower = Math.min(2, Math.max(1, timeFactor()));
  const [lease, timeout] = [6_000 * slower, 4_000 * slower];
  return { groupRefresh: '100ms', pollWait: name === 'sqs' ? '1s' : '0s', lease, timeout };
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
export function sqsHarness(
  name: 'sqs' | 'sqs-fifo',
  options: SqsHarnessOptions = {},
): Promise<Harness | MissingTarget> {
  return startHarness(name, options.start, module, async (broker, adapters) => {
    const make = (): Promise<Harness> => harnessOf(name, broker, adapters, options.adapter ?? {});
    const whole = await make();
    return {
      ...whole,
      ...(broker.can.kill === true && { apart: make }),
      close: async (): Promise<void> => {
        try {
          await whole.close();
        } finally {
          await broker[Symbol.asyncDispose]();
        }
      },
    };
  });
}

/** Calls of SQS that anybody in this process has made, by operation. */
const requests = new Map<string, number>();
subscribe('http.client.request.start', (message) => {
  const target = (message as { readonly request: ClientRequest }).request.getHeader('x-amz-target');
  const operation = String(target ?? '').split('.')[1];
  if (operation !== undefined) requests.set(operation, (requests.get(operation) ?? 0) + 1);
});

/** One set of connections to a broker. */
async function harnessOf(
  name: 'sqs' | 'sqs-fifo',
  broker: SqsBroker,
  adapters: AdapterModule,
  options: Readonly<Record<string, unknown>>,
): Promise<Harness> {
  // Names have 80 characters, so none is spent where nobody else is.
  const queuePrefix = broker.can.kill !== true ? `w${randomBytes(2).toString('hex')}-` : '';
  const config = (url: string): AdapterConfig => ({
    url,
    options: { ...usual(name), ...options, queuePrefix },
    client: 'waybill-suite',
  });
  const make = (url: string): Adapter => adapters.createAdapter(config(url));
  const connections = await Connections.open(broker, make);
  const suffix = name === 'sqs-fifo' ? '.fifo' : '';
  const queues = new Queues(broker, queuePrefix, suffix);
  return {
    name,
    how: broker.how,
    kind: broker.kind,
    version: broker.version,
    supports: make(broker.url).supports,
    adapter: () => connections.adapter(),
    // SQS itself never dies and forgets nothing, so neither does what plays it. Every message that Waybill sends has its
    // id in a header of this name, and nothing else that it asks for does.
    faults: connections.ours ? { ...connections.faults('waybill-id'), 'take-over': takeOver(broker, queues) } : {},
    spy: spyOf(broker, queues),
    knownGaps: name === 'sqs-fifo' && broker.kind === 'emulator' ? gaps : {},
    // One batch of a key at a time, each a request to a server in Java that polls for blocked groups.
    pace: name === 'sqs-fifo' ? 3 : 2,
    requests: () => requests,
    address: (group) => `${queuePrefix}${group}${suffix}`,
    child: { module, config: config(connections.childUrl()) },
    healthy: () =>
      broker.call('ListQueues', { QueueNamePrefix: queuePrefix, MaxResults: 1 }).then(
        () => true,
        () => false,
      ),
    close: async (): Promise<void> => {
      if (!connections.ours) await queues.deleteAll();
      await connections.close();
    },
  };
}

function takeOver(broker: SqsBroker, queues: Queues): FaultAction {
  return async ({ topic, group, deliveries }) => {
    const handles = deliveries.map(({ raw }) => (raw as { ReceiptHandle?: string }).ReceiptHandle ?? '');
    const QueueUrl = await queues.urlOf(topic ?? '', group ?? '');
    for (const ReceiptHandle of handles) {
      // Everybody may take it, and somebody does: a receipt that nobody has after it would still settle.
      await broker.call('ChangeMessageVisibility', { QueueUrl, ReceiptHandle, VisibilityTimeout: 0 });
    }
    if (handles.length === 0) throw new NotAble('this consumer holds nothing that can be taken from it');
    return done;
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
