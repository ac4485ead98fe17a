import type { Measure } from '@waybill/conformance';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Harness } from '@waybill/conformance';
import { type Bus, connect, type Topic, topic } from '@waybill/core';
import type { Adapter } from '@waybill/core/adapter';
import { percentile, spread } from './statistics.ts';

/** How long each measurement runs. Short: they compare brokers on one machine, and are no benchmark. */
const DURATION = 2_000;
/** Beyond this a measurement is given up, and the report is without it. */
const DEADLINE = 30_000;
const CLOSING = 5_000;

/** The group of every measurement. Handlers that never return are not waited for. */
const attachment = { group: 'measure', drain: 200 } as const;

interface Load {
  readonly seq: number;
  readonly key: string;
}

/** What a measurement is given: connections that are closed behind it, and names that nobody else uses. */
class Bench {
  readonly harness: Harness;
  readonly topic: Topic<Load>;
  readonly #buses: Bus[] = [];

  constructor(harness: Harness, name: string, ordered: boolean) {
    this.harness = harness;
    const key = (load: Load): string => load.key;
    this.topic = topic<Load>(`measure-${name}-${randomBytes(6).toString('hex')}`, ordered ? { key } : {});
  }

  async connect(adapter: Adapter = this.harness.adapter()): Promise<Bus> {
    const bus = await connect({ brokers: { main: adapter }, source: 'waybill-measure' }, { topics: [this.topic] });
    this.#buses.push(bus);
    return bus;
  }

  async close(): Promise<void> {
    // A connection whose process has died, as far as the broker knows, may never close.
    await Promise.race([Promise.allSettled(this.#buses.map((bus) => bus.close())), sleep(CLOSING)]);
  }
}

type Measurement = (bench: Bench) => Promise<readonly Measure[]>;

/** Messages per second from `publish` to the end of the handler, 100 publishes and 50 handlers at once. */
async function throughput(bench: Bench): Promise<readonly Measure[]> {
  const bus = await bench.connect();
  const slices: number[] = [];
  let handled = 0;
  await bus.subscribe(bench.topic, { ...attachment, concurrency: 50 }, () => void handled++);
  const end = performance.now() + DURATION;
  let seq = 0;
  const publisher = async (): Promise<void> => {
    while (performance.now() < end) await bus.publish(bench.topic, { seq: seq++, key: 'k' });
  };
  const publishers = Promise.all(Array.from({ length: 100 }, publisher));
  for (let before = 0, at = performance.now(); at < end;) {
    await sleep(DURATION / 8);
    const now = performance.now();
    slices.push(((handled - before) * 1_000) / (now - at));
    before = handled;
    at = now;
  }
  await publishers;
  // The first slice holds connecting and warming up.
  return [{ id: 'throughput', unit: 'messages/s', ...spread(slices.slice(1)), ratio: null, against: null }];
}

/** From the call of `publish` to the start of the handler, one message at a time. */
async function latency(bench: Bench): Promise<readonly Measure[]> {
  const bus = await bench.connect();
  const begun = new Map<number, number>();
  const times: number[] = [];
  await bus.subscribe(bench.topic, attachment, ({ payload }) => {
    const at = begun.get(payload.seq);
    if (at !== undefined && begun.delete(payload.seq)) times.push(performance.now() - at);
  });
  const end = performance.now() + DURATION;
  for (let seq = 0; performance.now() < end; seq++) {
    begun.set(seq, performance.now());
    await bus.publish(bench.topic, { seq, key: 'k' });
    await sleep(5);
  }
  await until(() => begun.size === 0, 2_000).catch(() => undefined);
  if (times.length === 0) return [];
  const [low, high] = [Math.min(...times), Math.max(...times)];
  return ([50, 99] as const).map((p) => ({
    id: `latency-p${p}`,
    unit: 'ms',
    value: percentile(times, p),
    low,
    high,
    ratio: null,
    against: null,
  }));
}

/** From the death of a consumer to the start of another's handler for what the dead one held. */
async function redelivery(bench: Bench): Promise<readonly Measure[]> {
  const kill = bench.harness.faults['crash-connection'];
  if (kill === undefined) return [];
  const adapter = bench.harness.adapter();
  const [victim, heir] = [await bench.connect(adapter), await bench.connect()];
  let held = 0;
  let again = 0;
  await victim.subscribe(bench.topic, attachment, ({ payload }) => {
    held += payload.seq >= 0 ? 1 : 0;
    return new Promise(() => {}); // never returns: it dies
  });
  await heir.publish(bench.topic, { seq: 0, key: 'k' });
  await until(() => held > 0, DEADLINE);
  await heir.subscribe(bench.topic, attachment, () => {
    again = performance.now();
  });
  const killed = performance.now();
  await kill({
    adapters: [adapter],
    count: 0,
    stored: false,
    refusal: 'passing',
    ms: 0,
    topic: null,
    group: null,
    deliveries: [],
  });
  await until(() => again > 0, DEADLINE);
  const value = again - killed;
  return [
    {
      id: 'redelivery',
      unit: 'ms',
      value,
      low: value,
      high: value,
      ...ratioTo(value, bench.harness.supports.deliver.redelivery.bound, 'declared bound'),
    },
  ];
}

/** Most deliveries held at once with a prefetch of 20, when no handler returns. */
async function inFlight(bench: Bench): Promise<readonly Measure[]> {
  const prefetch = 20;
  const bus = await bench.connect();
  const release = gate();
  const subscription = await bus.subscribe(
    bench.topic,
    { ...attachment, prefetch, concurrency: 10 },
    () => release.opened,
  );
  await bus.publishMany(bench.topic, loads(3 * prefetch, 1));
  const value = await plateau(() => subscription.held);
  release.open();
  return [
    { id: 'in-flight-max', unit: 'messages', value, low: value, high: value, ...ratioTo(value, prefetch, 'prefetch') },
  ];
}

/** Most handlers at once over 64 keys of an ordered topic, when no handler returns. */
async function keyParallelism(bench: Bench): Promise<readonly Measure[]> {
  const keys = 64;
  const bus = await bench.connect();
  const release = gate();
  const subscription = await bus.subscribe(
    bench.topic,
    { ...attachment, concurrency: keys, prefetch: 4 * keys },
    () => release.opened,
  );
  await bus.publishMany(bench.topic, loads(2 * keys, keys));
  const value = await plateau(() => subscription.running);
  release.open();
  return [
    { id: 'key-parallelism', unit: 'keys', value, low: value, high: value, ...ratioTo(value, keys, 'keys sent') },
  ];
}

/** Requests for a backlog of a thousand messages of 100 keys, by operation, where the broker is paid for by them. */
async function requests(bench: Bench): Promise<readonly Measure[]> {
  const { requests: count, supports } = bench.harness;
  if (count === undefined) return [];
  const messages = 1_000;
  const bus = await bench.connect();
  let handled = 0;
  const options = { ...attachment, concurrency: 100, prefetch: messages };
  const subscription = await bus.subscribe(bench.topic, options, () => void handled++);
  subscription.pause();
  await sleep(Math.min(supports.receive.stopDelay, 2_000)); // polls under way
  const before = new Map(count());
  await bus.publishMany(bench.topic, loads(messages, 100));
  subscription.resume();
  await until(() => handled >= messages, DEADLINE);
  await subscription.close(); // acks are sent
  return [...count()].flatMap(([operation, total]) => {
    const value = total - (before.get(operation) ?? 0);
    const ideal = messages / supports.publish.batch.messages;
    const unit = `requests per ${messages} messages`;
    return value === 0
      ? []
      : [{ id: operation, unit, value, low: value, high: value, ...ratioTo(value, ideal, 'full batches') }];
  });
}

/** `possible`: where the broker keeps order, else not. */
type Ordered = boolean | 'possible';

const MEASUREMENTS: readonly { readonly name: string; readonly ordered: Ordered; readonly run: Measurement }[] = [
  { name: 'throughput', ordered: false, run: throughput },
  { name: 'latency', ordered: false, run: latency },
  { name: 'redelivery', ordered: false, run: redelivery },
  { name: 'in-flight', ordered: false, run: inFlight },
  { name: 'key-parallelism', ordered: true, run: keyParallelism },
  { name: 'requests', ordered: 'possible', run: requests },
];

/**
 * Takes every measurement that this target allows. One that can't be taken, or that fails, is left out and told to
 * `missed`; a figure is never made up.
 */
export async function measure(
  harness: Harness,
  begin: (name: string) => void,
  missed: (name: string, reason: unknown) => void,
): Promise<readonly Measure[]> {
  const measures: Measure[] = [];
  for (const { name, ordered, run } of MEASUREMENTS) {
    const keeps = harness.supports.order.key.by !== 'refused';
    if (ordered === true && !keeps) continue;
    begin(name);
    const bench = new Bench(harness, name, ordered === 'possible' ? keeps : ordered);
    try {
      measures.push(...(await run(bench)));
    } catch (error) {
      missed(name, error);
    } finally {
      await bench.close();
    }
  }
  return measures;
}

function loads(count: number, keys: number): Load[] {
  return Array.from({ length: count }, (_, seq) => ({ seq, key: `k${seq % keys}` }));
}

function ratioTo(value: number, yardstick: number, against: string): Pick<Measure, 'ratio' | 'against'> {
  return yardstick > 0 ? { ratio: value / yardstick, against } : { ratio: null, against: null };
}

/** The most a value was, once it has not changed for half a second. */
async function plateau(read: () => number): Promise<number> {
  let most = 0;
  let last = read();
  let since = performance.now();
  await until(() => {
    const now = read();
    if (now !== last) [last, since] = [now, performance.now()];
    most = Math.max(most, now);
    return most > 0 && performance.now() - since > 500;
  }, DEADLINE);
  return most;
}

async function until(condition: () => boolean, ms: number): Promise<void> {
  const end = performance.now() + ms;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`not seen within ${ms} ms`);
    await sleep(5);
  }
}

function gate(): { readonly opened: Promise<unknown>; readonly open: () => void } {
  const controller = new AbortController();
  return { opened: once(controller.signal, 'abort'), open: () => controller.abort() };
}
