import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { checkName, deadLetterName, groupName, inboxName, joinTopic, partitionName } from '../src/names.ts';

test('joins as the design says', () => {
  expect(joinTopic(null, 'orders')).toBe('orders');
  expect(joinTopic('prod', 'orders.eu')).toBe('prod___orders.eu');
  expect(groupName('prod___orders', 'inventory')).toBe('prod___orders__inventory');
  expect(inboxName('orders', 'inventory')).toBe('orders__inventory__retry');
  expect(deadLetterName('orders', 'inventory')).toBe('orders__inventory__dlq');
  expect(partitionName('orders', 12, 3)).toBe('orders__12__3');
  expect(partitionName(groupName('orders', 'inventory'), 12, 0)).toBe('orders__inventory__12__0');
});

test.each(['a', 'orders', 'order-events.eu-1', 'a1', 'dlq', 'retry', 'x'.repeat(64)])('%s is a topic', (name) => {
  expect(() => checkName('topic', name)).not.toThrow();
});

test.each([
  ['', 'words'],
  ['Orders', 'words'],
  ['1a', 'words'],
  ['a_b', 'words'],
  ['a..b', 'words'],
  ['a.-b', 'words'],
  ['.a', 'words'],
  ['a-', 'words'],
  ['ä', 'words'],
  ['a\n', 'words'],
  ['x'.repeat(65), '65 characters'],
  [undefined, 'string'],
])('%j is none', (name, rule) => {
  for (const kind of ['topic', 'group', 'prefix'] as const) {
    expect(() => checkName(kind, name as string)).toThrow(
      expect.objectContaining({ code: 'invalid', message: expect.stringContaining(rule) as string }),
    );
  }
});

test('names the value and keeps reserved groups', () => {
  expect(() => joinTopic('prod', 'No')).toThrow("topic name 'No'");
  expect(() => joinTopic('NO', 'orders')).toThrow("prefix name 'NO'");
  for (const group of ['dlq', 'retry']) {
    for (const join of [groupName, inboxName, deadLetterName]) expect(() => join('orders', group)).toThrow(/reserved/);
  }
});

test.each([
  [0, 0],
  [3, 3],
  [3, -1],
  [3, 0.5],
  [2.5, 0],
  [Number.NaN, 0],
  [3, Number.NaN],
])('%d has no partition %d', (count, index) => {
  expect(() => partitionName('orders', count, index)).toThrow(expect.objectContaining({ code: 'invalid' }));
});

test('different things never share a name', () => {
  // Few letters and words, so that collisions are likely where they are possible.
  const name = fc.stringMatching(/^[ab][a0]?([.-][a1])?$/).filter((text) => text.length > 0);
  const thing = fc
    .record({
      prefix: fc.option(name),
      topic: fc.oneof(name, fc.constantFrom('dlq', 'retry')),
      group: fc.option(name),
      kind: fc.constantFrom('plain', 'inbox', 'dlq'),
      partition: fc.option(fc.tuple(fc.integer({ min: 3, max: 12 }), fc.nat(2))),
    })
    .map(({ group, kind, ...rest }) => ({ ...rest, group, kind: group === null ? 'plain' : kind }));
  type Thing = typeof thing extends fc.Arbitrary<infer T> ? T : never;
  const nameOf = ({ prefix, topic, group, kind, partition }: Thing): string => {
    const joined = joinTopic(prefix, topic);
    const join = kind === 'inbox' ? inboxName : kind === 'dlq' ? deadLetterName : groupName;
    const base = group === null ? joined : join(joined, group);
    return partition === null ? base : partitionName(base, ...partition);
  };
  const owners = new Map<string, string>();
  fc.assert(
    fc.property(thing, (one) => {
      const identity = JSON.stringify([one.prefix, one.topic, one.group, one.kind, one.partition]);
      const physical = nameOf(one);
      expect(owners.get(physical) ?? identity).toBe(identity);
      owners.set(physical, identity);
    }),
    { numRuns: 5_000 },
  );
  expect(owners.size).toBeGreaterThan(1_000);
});
