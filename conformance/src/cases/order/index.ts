import type { ConformanceCase } from '../../case.ts';
import { orderAcrossHandOver } from './handover.ts';
import { orderPerKey } from './keys.ts';
import { orderRefusals } from './refusals.ts';
import { orderAcrossRetry } from './retry.ts';
import { slowKeys } from './stalls.ts';

export const orderCases: readonly ConformanceCase[] = [
  ...orderPerKey,
  ...orderAcrossRetry,
  ...orderAcrossHandOver,
  ...slowKeys,
  ...orderRefusals,
];
