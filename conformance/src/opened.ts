import { join } from 'node:path';
import {
  type BatchHandler,
  type BatchSubscribeOptions,
  connect,
  type SubscribeOptions,
  type Topic,
} from '@waybill/core';
import type { Delivery, Facts } from '@waybill/core/adapter';
import type {
  CaseBus,
  CaseHandler,
  ConnectCaseOptions,
  Consumer,
  ConsumerScript,
  SpawnedConsumer,
  Stamped,
} from './case-types.ts';
import { Connection } from './connection.ts';
import { RecordedConsumer } from './consumer.ts';
import { Faults } from './fault-control.ts';
import type { Observed } from './observed.ts';
import { Random } from './random.ts';
import { recordAdapter } from './recorded-adapter.ts';
import { RecordedBus } from './recorded-bus.ts';
import type { Recorder } from './recorder.ts';
import { scripted } from './script.ts';
import { CaseSignal } from './signals.ts';
import { ProcessConsumer, SeverableConsumer } from './spawn.ts';
import type { Harness } from './target.ts';

export interface OpenedOptions {
  readonly harness: Harness;
  readonly recorder: Recorder;
  readonly observed: Observed;
  readonly seed: number;
  readonly fresh: (name: string) => string;
  /** For the history files of child processes. */
  readonly folder: string;
}

/** All that a case opens: connections, consumers, processes, faults. `close` ends it, whatever the case did. */
export class Opened {
  readonly fault: Faults;
  readonly #options: OpenedOptions;
  readonly #buses: RecordedBus[] = [];
  readonly #processes: ProcessConsumer[] = [];
  readonly #consumers: RecordedConsumer[] = [];
  /** How often each message has come to a group, by topic and group. */
  readonly #seen = new Map<string, Map<string, number>>();
  readonly #connections = new Map<CaseBus | Consumer, Connection>();
  #next = 0;
  #spawned = 0;

  constructor(options: OpenedOptions) {
    this.#options = options;
    this.fault = new Faults(
      options.harness,
      options.recorder,
      (bus) => this.#sever(bus),
      (consumer) => this.#holding(consumer),
    );
  }

  async connect(options: ConnectCaseOptions = {}): Promise<CaseBus> {
    const { topics, config, wrap, ...rest } = options;
    const { harness, recorder, observed, seed } = this.#options;
    const adapter = harness.adapter();
    const connection = new Connection(`b${++this.#next}`, recorder);
    const recorded = recordAdapter(wrap === undefined ? adapter : wrap(adapter), connection);
    const jitter = new Random(seed + this.#next);
    try {
      const bus = await connect(
        { ...config, brokers: { main: recorded } },
        {
          // What a crashed process would say, nobody hears.
          log: (level, message, fields) => (connection.severed ? undefined : observed.log(level, message, fields)),
          random: () => jitter.next(),
          ...(topics === undefined ? {} : { topics: topics as readonly Topic<unknown>[] }),
          ...rest,
        },
      );
      const caseBus = new RecordedBus(bus, adapter, connection);
      this.#buses.push(caseBus);
      this.#connections.set(caseBus, connection);
      return caseBus;
    } catch (error) {
      await adapter.close().catch(() => undefined);
      throw error;
    }
  }

  consume<T>(bus: CaseBus, topic: Topic<T>, options: SubscribeOptions, handler?: CaseHandler<T>): Promise<Consumer> {
    return this.#attach(bus, topic.name, options.group, (consumer) =>
      bus.bus.subscribe(topic, options, consumer.handler(topic, handler)),
    );
  }

  consumeBatches<T>(
    bus: CaseBus,
    topic: Topic<T>,
    options: BatchSubscribeOptions,
    handler?: BatchHandler<T>,
  ): Promise<Consumer> {
    return this.#attach(bus, topic.name, options.group, (consumer) =>
      bus.bus.subscribe(topic, options, consumer.batchHandler(topic, handler)),
    );
  }

  async spawn(
    topic: Topic<Stamped>,
    options: SubscribeOptions,
    script: ConsumerScript = { does: 'return' },
    config: ConnectCaseOptions['config'] = {},
  ): Promise<SpawnedConsumer> {
    const { child } = this.#options.harness;
    if (child === undefined) return this.#severable(topic, options, script, config);
    const consumer = await ProcessConsumer.start(
      {
        name: `p${++this.#spawned}`,
        history: join(this.#options.folder, `${this.#options.fresh('history')}.jsonl`),
        module: child.module,
        adapter: child.config,
        config,
        topic: { name: topic.name, keyed: topic.key !== null, ordered: topic.ordered },
        options,
        script,
      },
      this.#options.recorder,
    );
    this.#processes.push(consumer);
    return consumer;
  }

  async provision(
    topic: Topic<Stamped>,
    groups: readonly string[],
    config: ConnectCaseOptions['config'] = {},
  ): Promise<void> {
    const topics = { ...config.topics, [topic.name]: { ...config.topics?.[topic.name], groups } };
    const bus = await this.connect({ topics: [topic], config: { ...config, topics } });
    await bus.close();
  }

  /** What this case's connections were told about the broker. */
  get facts(): Facts {
    return Object.assign({}, ...this.#buses.map((bus) => bus.connection.facts)) as Facts;
  }

  /** Takes in what child processes have written. */
  sync(): void {
    for (const consumer of this.#processes) consumer.sync();
  }

  /** Heals, kills and closes all. Rejects when something does not end. */
  async close(): Promise<void> {
    const ends = [
      this.fault.healAll(),
      ...this.#processes.map((consumer) => consumer.kill()),
      ...this.#buses.map((bus) => (bus.connection.severed ? Promise.resolve() : bus.close())),
    ];
    const failed = (await Promise.allSettled(ends)).find((end) => end.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  async #attach(
    bus: CaseBus,
    topic: string,
    group: string,
    subscribe: (consumer: RecordedConsumer) => Promise<Consumer['subscription']>,
  ): Promise<Consumer> {
    const connection = this.#connections.get(bus);
    if (connection === undefined) throw new Error('this bus is not of this case: it comes from t.connect');
    const place = `${topic}/${group}`;
    const seen = this.#seen.get(place) ?? new Map<string, number>();
    this.#seen.set(place, seen);
    const consumer = new RecordedConsumer(`c${this.#consumers.length + 1}`, topic, group, connection, seen);
    this.#consumers.push(consumer);
    connection.consumers.set(place, consumer.name);
    this.#connections.set(consumer, connection);
    consumer.attach(await subscribe(consumer));
    this.#options.recorder.record({ type: 'group.ready', topic, group });
    return consumer;
  }

  async #severable(
    topic: Topic<Stamped>,
    options: SubscribeOptions,
    script: ConsumerScript,
    config: ConnectCaseOptions['config'] = {},
  ): Promise<SpawnedConsumer> {
    const { name } = this.#options.harness;
    if (!this.fault.has('crash-connection'))
      throw new CaseSignal('not-run', `${name} has no consumers that can be killed`);
    const bus = await this.connect({ topics: [topic], config });
    const consumer = await this.consume(
      bus,
      topic,
      options,
      scripted(script, () => this.fault.crash(bus)),
    );
    return new SeverableConsumer(bus, consumer, this.fault);
  }

  /** As if the process of this connection were gone: it says, sends and settles nothing any more. */
  #sever(bus: CaseBus): void {
    const connection = this.#connections.get(bus);
    if (connection === undefined || connection.severed) return;
    connection.severed = true;
    for (const consumer of this.#consumers) {
      if (this.#connections.get(consumer) === connection)
        this.#options.recorder.record({ type: 'killed', consumer: consumer.name });
    }
    // Its core goes on in this process, cut off; it is told to end, and nobody waits for it.
    bus.bus.close().catch(() => undefined);
  }

  #holding(consumer: Consumer): Delivery[] {
    const connection = this.#connections.get(consumer);
    return [...(connection?.attachments ?? [])].flatMap((attachment) => attachment.heldBy(consumer.name));
  }
}
