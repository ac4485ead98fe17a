import type { ConformanceCase } from '../../case.ts';
import { exactAttempts } from './attempts.ts';
import { backoffBounds } from './backoff.ts';
import { copiedFirst } from './copied-first.ts';
import { costsNoAttempt } from './costless.ts';
import { crashLoops } from './crash-loop.ts';
import { deadLetterRecord } from './dead-letter.ts';
import { failureEvents } from './failure-events.ts';
import { parkedKeys } from './parked-keys.ts';
import { poison } from './poison.ts';
import { redriven } from './redrive.ts';
import { harmlessSettles } from './settle.ts';
import { handlerTimeout } from './timeout.ts';

export const retryCases: readonly ConformanceCase[] = [
  ...exactAttempts,
  ...failureEvents,
  ...backoffBounds,
  ...costsNoAttempt,
  ...deadLetterRecord,
  ...copiedFirst,
  ...redriven,
  ...poison,
  ...harmlessSettles,
  ...crashLoops,
  ...parkedKeys,
  ...handlerTimeout,
];
