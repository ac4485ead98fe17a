import { randomBytes } from 'node:crypto';
import type { BenchBroker, BenchClient, RunningBench } from './bench-client.ts';
import { consuming, endToEnd, latency, publishing } from './broker-measures.ts';
import { type Publishing, waybillClient } from './waybill-client.ts';

/** One line of the result. */
export interface Row {
  readonly id: string;
  readonly unit: 'µs' | 'ms';
  /** Medians of the rounds. */
  readonly waybill: number;
  readonly raw: number;
  /** Raw over Waybill (throughput: 0.9 is nine tenths of the raw client's), or Waybill less raw for a latency. */
  readonly result: { readonly value: number; readonly low: number; readonly high: number };
  readonly kind: 'ratio' | 'added';
  /** At least, for a ratio; at most, for what is added. */
  readonly target: number;
}

export interface Comparison {
  readonly broker: string;
  readonly version: string;
  readonly against: string;
  readonly messages: number;
  readonly rounds: number;
  readonly rows: readonly Row[];
}

export interface Size {
  readonly messages: number;
  readonly rounds: number;
  /** Only rows whose id begins so. */
  readonly only: string;
}

/** Waybill beside the raw client, turn by turn in one process, so that what slows the machine slows both. */
export async function compare(broker: BenchBroker, size: Size): Promise<Comparison | { readonly missing: string }> {
  const running = await broker.start();
  if ('missing' in running) return running;
  try {
    return {
      broker: broker.name,
      version: running.version,
      against: broker.against,
      messages: size.messages,
      rounds: size.rounds,
      rows: await rowsOf(broker.name, running, size),
    };
  } finally {
    await running.stop();
  }
}

interface Plan {
  readonly id: string;
  readonly kind: Row['kind'];
  readonly target: number;
  readonly measure: (client: BenchClient, topic: string) => Promise<number>;
  /** Default `many`. */
  readonly publishing?: Publishing;
  /** Default `best`. */
  readonly style?: 'best' | 'naive';
}

function plansOf(messages: number): readonly Plan[] {
  const many: Plan['measure'] = (client, topic) => publishing(client, topic, messages);
  // Few, since a naive loop takes its time; per message they compare all the same.
  const few = Math.max(1_000, Math.round(messages / 10));
  const late =
    (p: number): Plan['measure'] =>
    async (client, topic) =>
      percentile(await latency(client, topic, 500), p);
  return [
    { id: 'publish, publishMany', kind: 'ratio', target: 0.9, measure: many },
    { id: 'publish, 512 at once', kind: 'ratio', target: 0.9, measure: many, publishing: 'one' },
    { id: 'consume', kind: 'ratio', target: 0.85, measure: (client, topic) => consuming(client, topic, messages) },
    { id: 'end to end', kind: 'ratio', target: 0.85, measure: (client, topic) => endToEnd(client, topic, messages) },
    { id: 'latency p50', kind: 'added', target: 0.2, measure: late(50) },
    { id: 'latency p99', kind: 'added', target: 1, measure: late(99) },
    {
      id: 'naive loop, end to end',
      kind: 'ratio',
      target: 5,
      measure: (client, topic) => endToEnd(client, topic, few),
      style: 'naive',
    },
  ];
}

async function rowsOf(name: string, running: RunningBench, { messages, rounds, only }: Size): Promise<readonly Row[]> {
  const run = randomBytes(3).toString('hex');
  let topics = 0;
  const once = async (plan: Plan, opening: Promise<BenchClient>): Promise<number> => {
    const client = await opening;
    const figure = await plan.measure(client, `bench-${run}-${++topics}`);
    await client.close();
    return figure;
  };
  const rows: Row[] = [];
  for (const plan of plansOf(messages)) {
    if (!plan.id.startsWith(only)) continue;
    const pairs: { waybill: number; raw: number }[] = [];
    for (let round = 0; round <= rounds; round++) {
      const waybill = await once(plan, waybillClient(name, running, plan.publishing));
      const raw = await once(plan, running.raw(plan.style ?? 'best'));
      if (round > 0) pairs.push({ waybill, raw }); // the first warms up
    }
    rows.push(rowOf(plan, pairs));
  }
  return rows;
}

function rowOf({ id, kind, target }: Plan, pairs: readonly { waybill: number; raw: number }[]): Row {
  const results = pairs.map(({ waybill, raw }) => (kind === 'ratio' ? raw / waybill : waybill - raw));
  return {
    id,
    kind,
    target,
    unit: kind === 'ratio' ? 'µs' : 'ms',
    waybill: percentile(
      pairs.map(({ waybill }) => waybill),
      50,
    ),
    raw: percentile(
      pairs.map(({ raw }) => raw),
      50,
    ),
    result: { value: percentile(results, 50), low: Math.min(...results), high: Math.max(...results) },
  };
}

function percentile(values: readonly number[], p: number): number {
  return (
    values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor((values.length * p) / 100))] ?? Number.NaN
  );
}
