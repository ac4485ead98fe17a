import { writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { compare, type Comparison } from './broker-comparison.ts';
import { tableOf } from './broker-table.ts';
import { BROKERS } from './brokers/index.ts';
import { memoryBench } from './memory-bench.ts';

/*
 * npm run bench                        what core costs, on the memory broker
 * npm run bench -- redis               Waybill beside the broker's own client
 *   --quick                            few messages: to see that it runs, not how fast
 *   --messages 100000 --rounds 5       how many, and how often
 *   --only latency                     lines that begin so
 *   --json FILE                        the same as JSON
 */
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    messages: { type: 'string' },
    rounds: { type: 'string' },
    only: { type: 'string', default: '' },
    json: { type: 'string' },
  },
});
const machine = `Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown'}`;
const chosen = BROKERS.filter(({ name }) => positionals.includes(name));
const isChild = positionals.some((name) => name.startsWith('heap-')); // of the memory benchmark
const unknown = isChild ? [] : positionals.filter((name) => BROKERS.every((one) => one.name !== name));
if (unknown.length > 0) {
  console.error(`there is no bench '${unknown.join(' ')}'; allowed: ${BROKERS.map(({ name }) => name).join(', ')}`);
  process.exit(2);
}
if (!isChild) console.log(machine);
if (chosen.length === 0) await memoryBench();
const comparisons: Comparison[] = [];
for (const broker of chosen) {
  const result = await compare(broker, {
    messages: Number(values.messages ?? (values.quick ? 5_000 : 50_000)),
    rounds: Number(values.rounds ?? (values.quick ? 1 : 5)),
    only: values.only,
  });
  if ('missing' in result) console.log(`${broker.name}: not run: ${result.missing}`);
  else {
    comparisons.push(result);
    console.log(tableOf(result));
  }
}
if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify({ machine, comparisons }, null, 2)}\n`);
