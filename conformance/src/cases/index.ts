import type { ConformanceCase } from '../case.ts';
import { dedupCases } from './dedup/index.ts';
import { deliverCases } from './deliver/index.ts';
import { flowCases } from './flow/index.ts';
import { lifeCases } from './life/index.ts';
import { orderCases } from './order/index.ts';
import { publishCases } from './publish/index.ts';
import { retryCases } from './retry/index.ts';
import { transactCases } from './transact/index.ts';

/** Every case. A new file adds its array to its group's index. */
export const CASES: readonly ConformanceCase[] = [
  ...publishCases,
  ...deliverCases,
  ...orderCases,
  ...retryCases,
  ...flowCases,
  ...lifeCases,
  ...dedupCases,
  ...transactCases,
];
