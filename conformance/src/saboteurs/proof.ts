import type { ConformanceCase, Verdict } from '../case.ts';
import { CASES } from '../cases/index.ts';
import { memoryHarness } from '../harness/memory.ts';
import { wrapHarness } from '../harness/wrapped.ts';
import { Random, seedFrom } from '../random.ts';
import { newSeed, startSuite } from '../runner.ts';
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
  /** It failed as it must, for the right reason; or passed as it must. */
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

/** Runs a saboteur's cases on memory: those that must catch it, and those that it must not disturb. */
export async function proveSaboteur(saboteur: Saboteur, seed: number = newSeed()): Promise<SaboteurProof> {
  const trials: Trial[] = [];
  for (const [id, expected] of Object.entries(saboteur.caughtBy)) {
    const { verdict, reason, ms } = await runOn(
      saboteur,
      caseOf(id),
      seed,
      timeFactor() * (saboteur.patience ?? patience),
    );
    const holds = verdict === 'failed' && reason !== null && reason.includes(expected);
    trials.push({ case: id, verdict, reason, ms, expected, holds });
  }
  for (const id of saboteur.spares) {
    const { verdict, reason, ms } = await runOn(saboteur, caseOf(id), seed, timeFactor());
    trials.push({ case: id, verdict, reason, ms, expected: null, holds: verdict === 'passed' });
  }
  const { id, title } = saboteur;
  return { id, title, trials, holds: trials.every((trial) => trial.holds) };
}

/** Every saboteur, and what is left unproved. */
export async function proveSuite(options: ProofOptions = {}): Promise<SuiteProof> {
  const { seed = newSeed(), saboteurs = SABOTEURS, parallel = 4, onProgress } = options;
  const waiting = [...saboteurs];
  const proofs: SaboteurProof[] = [];
  const worker = async (): Promise<void> => {
    for (let one = waiting.shift(); one !== undefined; one = waiting.shift()) {
      const proof = await proveSaboteur(one, seed);
      proofs.push(proof);
      onProgress?.(proof, proofs.length, saboteurs.length);
    }
  };
  await Promise.all(Array.from({ length: parallel }, worker));
  const order = saboteurs.map(({ id }) => id);
  proofs.sort((a, b) => order.indexOf(a.id) - order.indexOf(b.id));
  const caught = proofs.flatMap(({ trials }) =>
    trials.flatMap((trial) => (trial.expected !== null && trial.holds ? [trial.case] : [])),
  );
  return { seed, saboteurs: proofs, unproved: CASES.map(({ id }) => id).filter((id) => !caught.includes(id)) };
}

function caseOf(id: string): ConformanceCase {
  const found = CASES.find((one) => one.id === id);
  if (found === undefined) throw new Error(`there is no case '${id}'`);
  return found;
}

async function runOn(saboteur: Saboteur, one: ConformanceCase, seed: number, factor: number) {
  const inner = memoryHarness(saboteur.target);
  const random = new Random(seedFrom(saboteur.id, seed));
  const target = wrapHarness(inner, saboteur.id, (adapter) => saboteur.wrap(adapter, random));
  const suite = startSuite(target, seed, { factor });
  try {
    // A case that fails at a deadline says at which: its own, of all of it, must not come first.
    return await suite.run({ ...one, timeout: longest / factor });
  } finally {
    suite.end();
    await target.close();
  }
}
