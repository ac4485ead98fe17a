import type { ConformanceCase } from '../../case.ts';
import { transactFaults } from './faults.ts';
import { transactRuns } from './runs.ts';

export const transactCases: readonly ConformanceCase[] = [...transactRuns, ...transactFaults];
