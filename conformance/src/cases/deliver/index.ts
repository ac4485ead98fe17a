import type { ConformanceCase } from '../../case.ts';
import { atLeastOnce } from './at-least-once.ts';
import { atMostOnce } from './at-most-once.ts';
import { crash } from './crash.ts';
import { expiry } from './expiry.ts';
import { fanOut } from './fan-out.ts';
import { filters } from './filter.ts';
import { handed } from './handed.ts';
import { leases } from './lease.ts';
import { moving } from './moving.ts';
import { pauses } from './pause.ts';
import { replays } from './replay.ts';
import { sharing } from './sharing.ts';
import { signals } from './signals.ts';
import { starts } from './start.ts';

/** D1 to D11. */
export const deliverCases: readonly ConformanceCase[] = [
  ...atLeastOnce,
  ...handed,
  ...fanOut,
  ...sharing,
  ...atMostOnce,
  ...crash,
  ...leases,
  ...signals,
  ...starts,
  ...replays,
  ...moving,
  ...pauses,
  ...expiry,
  ...filters,
];
