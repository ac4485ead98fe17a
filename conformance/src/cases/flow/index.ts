import type { ConformanceCase } from '../../case.ts';
import { heldLimits } from './held.ts';
import { limits } from './limits.ts';
import { backpressure } from './backpressure.ts';
import { batches } from './batches.ts';
import { partialFailures } from './partial-failures.ts';
import { lag } from './lag.ts';
import { fairness } from './fairness.ts';
import { flatMemory } from './memory.ts';
import { pausing } from './pausing.ts';

export const flowCases: readonly ConformanceCase[] = [
  ...heldLimits,
  ...limits,
  ...flatMemory,
  ...fairness,
  ...pausing,
  ...lag,
  ...backpressure,
  ...batches,
  ...partialFailures,
];
