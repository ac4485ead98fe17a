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
];
