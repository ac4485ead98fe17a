import { expect, test } from 'vitest';
import { isMadeFor, Names } from '../src/naming.ts';

test('what was made for a name begins with it, behind a prefix and before an ending; a longer number is another', () => {
  let next = 6;
  const names = new Names('r1x2y3', 'O2.some-case', () => ++next);
  const topic = names.fresh('orders');
  expect(names.given).toEqual([topic]);
  for (const name of [topic, `${topic}__o2-inventory-r1x2y3-8`, `${topic}.dlq`, `some-prefix.${topic}`])
    expect(isMadeFor(name, names.given), name).toBe(true);
  for (const name of [`${topic}0`, `${topic}0__inventory`, 'orders', topic.replace('r1x2y3', 'r9z9z9')])
    expect(isMadeFor(name, names.given), name).toBe(false);
});
