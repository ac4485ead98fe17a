import type { ConformanceCase } from '../../case.ts';
import { buffer } from './buffer.ts';
import { publishAndClose } from './closing.ts';
import { confirmed } from './confirmed.ts';
import { bodiesArrive } from './content.ts';
import { delay } from './delay.ts';
import { fieldsArrive } from './fields.ts';
import { invalid } from './invalid.ts';
import { offer } from './offer.ts';
import { publishOrder } from './order.ts';
import { outcomes } from './outcomes.ts';
import { restarts } from './restarts.ts';
import { topologies } from './topology.ts';

/** P1 to P7. */
export const publishCases: readonly ConformanceCase[] = [
  ...confirmed,
  ...publishAndClose,
  ...restarts,
  ...outcomes,
  ...publishOrder,
  ...bodiesArrive,
  ...fieldsArrive,
  ...invalid,
  ...topologies,
  ...buffer,
  ...offer,
  ...delay,
];
