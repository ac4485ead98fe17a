import type { ConformanceCase } from '../../case.ts';
import { orderAcrossCrashes } from './crashes.ts';
import { orderAcrossHandOver } from './handover.ts';
import { orderPerKey } from './keys.ts';
import { orderRefusals } from './refusals.ts';
import { orderAcrossRetry } from './retry.ts';
import { slowKeys } from './stalls.ts';
import { orderAcrossTakeOver } from './takeover.ts';

export const orderCases: readonly ConformanceCase[] = [
  ...orderPerKey,
  ...orderAcrossRetry,
  ...orderAcrossHandOver,
  ...orderAcrossTakeOver,
  ...orderAcrossCrashes,
  ...slowKeys,
  ...orderRefusals,
];
