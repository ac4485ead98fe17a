import { CONTENTS } from './contents.ts';
import { DEAD_LETTERS } from './dead-letters.ts';
import { DELAYS } from './delays.ts';
import { DELIVERIES } from './deliveries.ts';
import { FLOWS } from './flows.ts';
import { HISTORIES } from './histories.ts';
import { LEASES } from './leases.ts';
import { LIVES } from './lives.ts';
import { MANIFESTS } from './manifests.ts';
import type { Saboteur } from './saboteur.ts';
import { SENDS } from './sends.ts';
import { SETTLES } from './settles.ts';
import { TRANSACTIONS } from './transactions.ts';

/** Every saboteur. Each case that none of them is caught by is listed as unproved. */
export const SABOTEURS: readonly Saboteur[] = [
  ...SENDS,
  ...CONTENTS,
  ...DELAYS,
  ...DELIVERIES,
  ...SETTLES,
  ...LEASES,
  ...DEAD_LETTERS,
  ...FLOWS,
  ...HISTORIES,
  ...LIVES,
  ...MANIFESTS,
  ...TRANSACTIONS,
];

const caught = new Set(SABOTEURS.flatMap(({ caughtBy }) => Object.keys(caughtBy)));

/** Of these cases, those that no saboteur is caught by: nobody has seen them fail. */
export function unprovedOf(ids: readonly string[]): string[] {
  return ids.filter((id) => !caught.has(id));
}
