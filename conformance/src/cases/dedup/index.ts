import type { ConformanceCase } from '../../case.ts';
import { brokerWindow } from './broker-window.ts';
import { crashes } from './crashes.ts';
import { idempotent } from './idempotent.ts';
import { storeFailures } from './store-failures.ts';

export const dedupCases: readonly ConformanceCase[] = [...idempotent, ...storeFailures, ...crashes, ...brokerWindow];
