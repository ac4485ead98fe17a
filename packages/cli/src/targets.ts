import { setTimeout as sleep } from 'node:timers/promises';
import { type Harness, memoryHarness, type MemoryVariant, type MissingTarget } from '@waybill/conformance';
import { requiredOf } from './exit-code.ts';
import type { Io } from './io.ts';
import { REAL_BROKERS, realTarget } from './real-brokers.ts';
import { UsageError } from './usage-error.ts';

/** Milliseconds. A broker of ours is killed rather than stopped, so more is never needed. */
const CLOSING = 15_000;

const MEMORY_VARIANTS: readonly MemoryVariant[] = ['memory', 'memory-emulated', 'memory-cumulative'];

/** Every name that `--broker` takes: the memory broker, as it is and with less, and the real ones. */
export const TARGET_NAMES: readonly string[] = [...MEMORY_VARIANTS, ...REAL_BROKERS.map((broker) => broker.name)];

/** What `waybill compare` runs on when nothing is said. */
export const COMPARED: readonly string[] = ['memory', ...REAL_BROKERS.map((broker) => broker.name)];

/** @throws UsageError for a name that is not in the list. */
export async function targetOf(name: string, io: Io): Promise<Harness | MissingTarget> {
  const memory = MEMORY_VARIANTS.find((one) => one === name);
  if (memory !== undefined) return memoryHarness(memory);
  const broker = REAL_BROKERS.find((one) => one.name === name);
  if (broker === undefined) throw new UsageError(`there is no broker '${name}'; allowed: ${TARGET_NAMES.join(', ')}`);
  const required = requiredOf(io.env['WAYBILL_REQUIRE']);
  return realTarget(broker, io, required === 'all' || required.includes(name));
}

/** Closes a target, within a bound: what was found is known, and a broker that a fault has left behind must not hide it. */
export async function closeTarget(target: Harness): Promise<void> {
  await Promise.race([target.close(), sleep(CLOSING)]);
}

/** Names with commas between them. @throws UsageError for one that is unknown or given twice. */
export function targetNames(text: string): string[] {
  const names = text.split(',').map((name) => name.trim());
  for (const [index, name] of names.entries()) {
    if (!TARGET_NAMES.includes(name))
      throw new UsageError(`--brokers has '${name}'; allowed: ${TARGET_NAMES.join(', ')}`);
    if (names.indexOf(name) < index) throw new UsageError(`--brokers has '${name}' twice`);
  }
  return names;
}
