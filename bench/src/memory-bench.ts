import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { bareAdapter, bareCodec } from './bare.ts';
import { endToEnd, type Load } from './end-to-end.ts';
import { stuck, throughput } from './heap.ts';

/*
 * What Waybill costs, on the memory broker. Figures are medians; a machine's own speed cancels out of the ratios, so quote
 * those. Never run it beside other work.
 */
const QUICK = process.argv.includes('--quick');
const MESSAGES = QUICK ? 50_000 : 300_000;
const RUNS = QUICK ? 1 : 5;

async function median(measure: () => number | Promise<number>): Promise<number> {
  const values: number[] = [];
  for (let run = 0; run < RUNS; run++) values.push(await measure());
  return values.toSorted((a, b) => a - b)[RUNS >> 1] as number;
}

function line(name: string, micros: number, remark = ''): void {
  const rate = `${Math.round(1_000 / micros)}k/s`;
  console.log(`${name.padEnd(44)}${micros.toFixed(2).padStart(8)} µs${rate.padStart(10)}   ${remark}`);
}

async function speed(): Promise<void> {
  await endToEnd({ messages: MESSAGES / 2, keys: 100, payload: 'bytes' }); // warm
  const bare = await median(() => bareAdapter(MESSAGES));
  line('memory adapter alone', bare);
  for (const keys of [0, 1, 100, 100_000]) {
    const micros = await median(() => endToEnd({ messages: MESSAGES, keys, payload: 'bytes' }));
    line(`bytes, ${keys === 0 ? 'unordered' : `${keys} keys`}`, micros, `core ${(micros - bare).toFixed(2)} µs`);
  }
  line(
    'bytes, batches of 100',
    await median(() => endToEnd({ messages: MESSAGES, keys: 0, payload: 'bytes', batch: 100 })),
  );
  const few: Omit<Load, 'keys'> = { messages: MESSAGES / 5, payload: 'json' };
  const codec = await median(() => bareCodec(few.messages));
  line('JSON and zod, bare loop', codec);
  for (const keys of [0, 1, 100, 100_000]) {
    const micros = await median(() => endToEnd({ ...few, keys }));
    line(
      `JSON and zod, ${keys === 0 ? 'unordered' : `${keys} keys`}`,
      micros,
      `${Math.round((100 * codec) / micros)} % of the bare loop`,
    );
  }
  for (const subscriptions of [1, 10, 100]) {
    const messages = Math.round(MESSAGES / subscriptions / 2);
    const micros = await median(() => endToEnd({ messages, keys: 0, payload: 'bytes', subscriptions }));
    line(`bytes, ${subscriptions} groups`, micros / subscriptions, 'per delivery');
  }
}

function inChild(what: string): string {
  const args = [
    '--expose-gc',
    '--import',
    'tsx',
    join(import.meta.dirname, 'main.ts'),
    what,
    ...(QUICK ? ['--quick'] : []),
  ];
  return execFileSync(process.execPath, args, { encoding: 'utf8' }).trim();
}

const million = QUICK ? 100_000 : 1_000_000;

/** All figures, or what a child of this program was started for. */
export async function memoryBench(): Promise<void> {
  if (process.argv.includes('heap-throughput')) {
    const { growth, peak } = await throughput(million);
    console.log(`heap after ${million} messages: ${growth.toFixed(1)} MiB more, peak ${peak.toFixed(0)} MiB`);
  } else if (process.argv.includes('heap-stuck')) {
    const { growth, accepted } = await stuck(million);
    console.log(
      `stuck consumer: ${growth.toFixed(1)} MiB more (16 MiB of messages held, ${accepted} accepted, then publish blocks)`,
    );
  } else {
    console.log(`memory: ${MESSAGES} messages of 1 KiB, median of ${RUNS}`);
    await speed();
    console.log(inChild('heap-throughput'));
    console.log(inChild('heap-stuck'));
  }
}
