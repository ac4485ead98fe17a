import type { Adapter, AdapterConfig, AdapterModule } from '@waybill/core/adapter';
import type { KafkaBroker, KafkaStart } from '@waybill/testbed';
import { isMadeFor } from '../naming.ts';
import { type FaultAction, type Harness, type MissingTarget, NotAble } from '../target.ts';
import { KafkaOutside } from './kafka-outside.ts';
import { Connections, deaths, done, startHarness } from './started.ts';

const module = '@waybill/kafka';

/** A short lease, so that what a killed consumer held comes again while somebody is looking. */
const usual = { lease: '3s', timeout: '3s', metadataAge: '2s' };

export interface KafkaHarnessOptions {
  /** How to start the broker. */
  readonly start?: KafkaStart;
  /** Options of the adapter, beside the URL and the suite's usual ones. */
  readonly adapter?: Readonly<Record<string, unknown>>;
}

/** Retention is looked after every few minutes, transactions that nobody ends every ten seconds: too long for a case. */
const settings = {
  'log.retention.check.interval.ms': '300',
  'log.initial.task.delay.ms': '300',
  'transaction.abort.timed.out.transaction.cleanup.interval.ms': '500',
};

/**
 * Kafka, from the testbed: private, with every fault, or at WAYBILL_KAFKA_URL, with none.
 *
 * @throws TestbedError when there is an address and nothing usable behind it
 */
export function kafkaHarness(options: KafkaHarnessOptions = {}): Promise<Harness | MissingTarget> {
  return startHarness('kafka', { settings, ...options.start }, module, (broker, adapters) =>
    harnessOf(broker, adapters, { ...usual, ...options.adapter }),
  );
}

async function harnessOf(
  broker: KafkaBroker,
  adapters: AdapterModule,
  options: Readonly<Record<string, unknown>>,
): Promise<Harness> {
  const config = (url: string): AdapterConfig => ({ url, options, client: 'waybill-suite' });
  const outside = new KafkaOutside(broker.plain);
  const make = (url: string): Adapter => adapters.createAdapter(config(url));
  const connections = await Connections.open(broker, make);
  const left = new Set<string>();
  const tidy = async (names: readonly string[]): Promise<void> => {
    for (const name of names) left.add(name);
    const gone = [...left];
    await outside.deleteAll((await outside.topics()).filter((name) => isMadeFor(name, gone)));
    for (const name of gone) left.delete(name);
  };
  return {
    name: 'kafka',
    how: broker.how,
    kind: broker.kind,
    version: broker.version,
    supports: make(broker.url).supports,
    adapter: () => connections.adapter(),
    // Refusing sends for a while is none of them: a topic wants no more replicas in sync than it has. Every record that
    // Waybill sends has its id in a header of this name, and nothing else that it asks for does.
    faults: connections.ours
      ? { ...connections.faults('waybill-id'), ...deaths(broker), 'take-over': takeOver(outside) }
      : {},
    spy: outside.spy(),
    child: { module, config: config(connections.childUrl()) },
    healthy: () => outside.answers(),
    tidy,
    close: async (): Promise<void> => {
      try {
        if (left.size > 0 && !connections.ours) await tidy([]);
        await outside.close();
      } finally {
        await broker[Symbol.asyncDispose]();
      }
    },
  };
}

function takeOver(outside: KafkaOutside): FaultAction {
  return async ({ topic, group, deliveries }) => {
    const partitions = deliveries.map(({ partition }) => partition);
    const groupId = `${topic}__${group}`;
    const members = partitions.length === 0 ? [] : await outside.membersOf(groupId, partitions);
    if (members.length === 0) throw new NotAble('nothing that this consumer holds can be taken from it');
    for (const member of members) await outside.evict(groupId, member);
    return done;
  };
}
