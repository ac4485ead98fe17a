import type { ConformanceCase, Verdict } from '../case.ts';
import { CASES } from '../cases/index.ts';
import { memoryHarness, type MemoryVariant } from '../harness/memory.ts';
import { wrapHarness } from '../harness/wrapped.ts';
import { Random, seedFrom } from '../random.ts';
import type { CaseResult } from '../result.ts';
import { newSeed, startSuite } from '../runner.ts';
import type { Harness } from '../target.ts';
import { timeFactor } from '../waiting.ts';
import { SABOTEURS } from './index.ts';
import type { Saboteur } from './saboteur.ts';

/** How one case took one saboteur. */
export interface Trial {
  readonly case: string;
  readonly verdict: Verdict;
  readonly reason: string | null;
  readonly ms: number;
  /** What the reason must contain; null where the case must pass. */
  readonly expected: string | null;
  /** The same case with the same patience when nothing is broken; null where that was not asked. */
  readonly untouched: Pick<CaseResult, 'verdict' | 'reason'> | null;
  /** It failed as it must, for the right reason, and only because of the saboteur; or passed as it must. */
  readonly holds: boolean;
}

export interface SaboteurProof {
  readonly id: string;
  readonly title: string;
  readonly trials: readonly Trial[];
  readonly holds: boolean;
}

export interface SuiteProof {
  readonly seed: number;
  readonly saboteurs: readonly SaboteurProof[];
  /** Cases that no saboteur was seen to fail. */
  readonly unproved: readonly string[];
}

export interface ProofOptions {
  readonly seed?: number;
  /** Default: all. */
  readonly saboteurs?: readonly Saboteur[];
  /** Saboteurs at once, each with a broker of its own. Default 4. */
  readonly parallel?: number;
  readonly onProgress?: (proof: SaboteurProof, done: number, total: number) => void;
}

const patience = 0.2;
const longest = 180_000;

/** Runs of cases on brokers that nobody has touched: each case once per target and patience. */
export class Controls {
  readonly #seed: number;
  readonly #known = new Map<string, Promise<CaseResult>>();

  constructor(seed: number) {
    this.#seed = seed;
  }

  run(target: MemoryVariant, one: ConformanceCase, part: number): Promise<CaseResult> {
    const key = `${target} ${part} ${one.id}`;
    const known = this.#known.get(key) ?? runOn(memoryHarness(target), one, this.#seed, part);
    this.#known.set(key, known);
    return known;
  }
}

/** Runs a saboteur's cases on memory: those that must catch it, and those that it must not disturb. */
export async function proveSaboteur(
  saboteur: Saboteur,
  seed: number = newSeed(),
  controls: Controls = new Controls(seed),
): Promise<SaboteurProof> {
  const { id: name, title, target = 'memory' } = saboteur;
  const random = new Random(seedFrom(name, seed));
  const sabotaged = (): Harness =>
    wrapHarness(memoryHarness(target), name, (adapter) => saboteur.wrap(adapter, random));
  const trials: Trial[] = [];
  for (const [id, expected] of Object.entries(saboteur.caughtBy)) {
    // Not WAYBILL_TIME_FACTOR: what a saboteur does takes no longer on a slow machine, and would end before a longer deadline.
    const part = saboteur.patience ?? patience;
    const { verdict, reason, ms } = await runOn(sabotaged(), caseOf(id), seed, part);
    const control = await controls.run(target, caseOf(id), part);
    const caught = verdict === 'failed' && reason !== null && reason.includes(expected);
    // Where a capability is only claimed, the honest manifest refuses.
    const holds = caught && (control.verdict === 'passed' || control.verdict === 'refused');
    const untouched = { verdict: control.verdict, reason: control.reason };
    trials.push({ case: id, verdict, reason, ms, expected, untouched, holds });
  }
  for (const id of saboteur.spares) {
    const { verdict, reason, ms } = await runOn(sabotaged(), caseOf(id), seed, timeFactor());
    trials.push({ case: id, verdict, reason, ms, expected: null, untouched: null, holds: verdict === 'passed' });
  }
  return { id: name, title, trials, holds: trials.every((trial) => trial.holds) };
}

/** Every saboteur, and what is left unproved. */
export async function proveSuite(options: ProofOptions = {}): Promise<SuiteProof> {
  const { seed = newSeed(), saboteurs = SABOTEURS, parallel = 4, onProgress } = options;
  const controls = new Controls(seed);
  const waiting = [...saboteurs];
  const proofs = new Map<string, SaboteurProof>();
  const worker = async (): Promise<void> => {
    for (let one = waiting.shift(); one !== undefined; one = waiting.shift()) {
      const proof = await proveSaboteur(one, seed, controls);
      proofs.set(one.id, proof);
      onProgress?.(proof, proofs.size, saboteurs.length);
    }
  };
  await Promise.all(Array.from({ length: parallel }, worker));
  const ordered = saboteurs.flatMap(({ id }) => proofs.get(id) ?? []);
  const trials = ordered.flatMap((proof) => proof.trials);
  const caught = new Set(trials.filter(({ expected, holds }) => expected !== null && holds).map((trial) => trial.case));
  return { seed, saboteurs: ordered, unproved: CASES.map(({ id }) => id).filter((id) => !caught.has(id)) };
}

function caseOf(id: string): ConformanceCase {
  const found = CASES.find((one) => one.id === id);
  if (found === undefined) throw new Error(`there is no case '${id}'`);
  return found;
}

/** @param part Of all waiting deadlines. */
async function runOn(target: Harness, one: ConformanceCase, seed: number, part: number): Promise<CaseResult> {
  const suite = startSuite(target, seed, { patience: part });
  try {
    // A case that fails at a deadline says at which: its own, of all of it, must not come first.
    return await suite.run({ ...one, timeout: longest });
  } finally {
    suite.end();
    await target.close();
  }
}
