import { run, until } from '@waybill/conformance/requests';
import { type Bus, connect, topic } from '@waybill/core';
import { describeNotRun, isNotRun, isRequired, type KafkaBroker, startBroker } from '@waybill/testbed';
import { Kafka } from 'kafkajs';
import { expect, test } from 'vitest';

interface Step {
  readonly key: string;
  readonly step: number;
}

const keys = Array.from({ length: 40 }, (_, index) => `key-${index}`);
const name = `${run}failover`;
const steps = topic<Step>(name, { key: ({ key }) => key });

/** The node that leads a partition, in the words of one that is alive. */
async function leaderOf(broker: KafkaBroker, partition: number): Promise<number> {
  const admin = new Kafka({ brokers: [broker.plain], logCreator: () => () => undefined }).admin();
  await admin.connect();
  const { topics } = await admin.fetchTopicMetadata({ topics: [name] });
  await admin.disconnect();
  return topics[0]?.partitions.find(({ partitionId }) => partitionId === partition)?.leader ?? 0;
}

/** What publishers were told and handlers saw. */
class Ledger {
  readonly confirmed: Step[] = [];
  /** By key, the first time that each step was handled. */
  readonly handled = new Map<string, number[]>();
  #count = 0;

  get count(): number {
    return this.#count;
  }

  readonly handle = ({ payload: { key, step } }: { readonly payload: Step }): void => {
    const seen = this.handled.get(key) ?? [];
    this.handled.set(key, seen);
    if (seen.includes(step)) return;
    seen.push(step);
    this.#count++;
  };

  has({ key, step }: Step): boolean {
    return this.handled.get(key)?.includes(step) === true;
  }
}

/** One step of each key after the other, until told to stop; what ends otherwise than confirmed is not repeated. */
async function publish(bus: Bus, ledger: Ledger, stop: AbortSignal): Promise<void> {
  const one = async (key: string): Promise<void> => {
    for (let step = 0; !stop.aborted; step++) {
      const said = await bus.publish(steps, { key, step }).catch(() => null);
      if (said !== null) ledger.confirmed.push({ key, step });
    }
  };
  await Promise.all(keys.map(one));
}

if (process.env['WAYBILL_SUITE'] === 'full')
  test('a partition whose leader is killed goes on: nothing confirmed is lost, order stays, nobody starts again', async (context) => {
    const answer = await startBroker('kafka', { nodes: 3, from: 'process', deadline: 180_000 });
    if (isNotRun(answer)) {
      if (isRequired('kafka')) throw new Error(answer.reason);
      return context.skip(describeNotRun(answer));
    }
    await using broker = answer;
    const options = { durability: 'replicated', lease: '6s', timeout: '3s', metadataAge: '2s' };
    const open = (): Promise<Bus> =>
      connect({
        brokers: { main: { url: broker.url, kafka: options } },
        topics: { [name]: { partitions: 3, groups: ['g'] } },
      });
    await using publisher = await open();
    await using bus = await open();
    const other: { lost: string[] } = { lost: [] };
    for (const one of [publisher, bus]) one.on('disconnected', ({ error }) => other.lost.push(error.message));
    const ledger = new Ledger();
    const subscriptions = [
      await bus.subscribe(steps, { group: 'g', concurrency: 16 }, ledger.handle),
      await bus.subscribe(steps, { group: 'g', concurrency: 16 }, ledger.handle),
    ];
    const stop = new AbortController();
    const publishing = publish(publisher, ledger, stop.signal);
    const flows = (): Promise<void> => {
      const before = ledger.count;
      return until(() => ledger.count >= before + 2_000, 60_000);
    };
    await flows();
    // The first node is asked who leads, so it stays.
    const leaders = await Promise.all([0, 1, 2].map((partition) => leaderOf(broker, partition)));
    const victim = leaders.find((leader) => leader > 1) ?? 0;
    await broker.nodes[victim - 1]?.kill();
    await until(async () => {
      const now = await Promise.all([0, 1, 2].map((partition) => leaderOf(broker, partition)));
      return !now.includes(victim);
    }, 60_000);
    await flows();
    await broker.nodes[victim - 1]?.start();
    await flows();
    stop.abort();
    await publishing;
    await until(() => ledger.confirmed.every((step) => ledger.has(step)), 60_000);
    for (const [key, seen] of ledger.handled) expect([key, seen]).toEqual([key, seen.toSorted((a, b) => a - b)]);
    expect(ledger.handled.size).toBe(keys.length);
    expect(subscriptions.map(({ status }) => status)).toEqual(['subscribed', 'subscribed']);
    expect(other.lost).toEqual([]);
  }, 300_000);
else test.skip('not-run: three nodes; npm run test:full runs it', () => undefined);
