import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { assign, rank, wanted } from '../src/balance.ts';

const members = fc.uniqueArray(fc.uuid(), { minLength: 1, maxLength: 8, size: 'max' });
const partitions = fc.integer({ min: 1, max: 64 });

/** Partition → member. */
const owners = (assignment: Map<string, number[]>): Map<number, string> =>
  new Map([...assignment].flatMap(([member, held]) => held.map((partition) => [partition, member] as const)));

const moved = (before: Map<string, number[]>, after: Map<string, number[]>): number => {
  const now = owners(after);
  return [...owners(before)].filter(([partition, member]) => now.get(partition) !== member).length;
};

test('each partition has one owner, and counts differ by one at most', () => {
  fc.assert(
    fc.property(members, partitions, (all, count) => {
      const assignment = assign(all, count);
      expect([...assignment.values()].flat().toSorted((a, b) => a - b)).toEqual([...Array(count).keys()]);
      const sizes = all.map((member) => assignment.get(member)?.length ?? Number.NaN);
      expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
    }),
  );
});

test('every instance computes the same, in whatever order it knows the members', () => {
  fc.assert(
    fc.property(
      members.chain((all) => fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length }))),
      partitions,
      ([all, shuffled], count) => {
        expect([...assign([...shuffled, ...shuffled], count)]).toEqual([...assign(all, count)]);
        for (const member of all) expect(wanted(member, shuffled, count)).toEqual(assign(all, count).get(member));
      },
    ),
  );
});

test('nobody gets nothing, and a stranger wants nothing', () => {
  expect(assign([], 12)).toEqual(new Map());
  expect(wanted('me', ['other'], 12)).toEqual([]);
  expect(wanted('me', ['me'], 3)).toEqual([0, 1, 2]);
  expect([...assign(['a', 'b', 'c'], 2).values()].flat()).toHaveLength(2);
});

test('a partition goes to its highest bidder unless that one is full', () => {
  fc.assert(
    fc.property(members, partitions, (all, count) => {
      const assignment = assign(all, count);
      const least = Math.floor(count / all.length);
      for (const [partition, owner] of owners(assignment)) {
        for (const other of all) {
          if (rank(other, partition) > rank(owner, partition))
            expect(assignment.get(other)?.length).toBeGreaterThanOrEqual(least);
        }
      }
    }),
  );
});

test('ranks spread evenly and depend on both', () => {
  const firsts = new Map<string, number>();
  const four = ['host-a-1', 'host-a-2', 'host-b-1', 'host-b-2'];
  for (let partition = 0; partition < 4_000; partition++) {
    const [first] = four.toSorted((a, b) => rank(b, partition) - rank(a, partition)) as [string];
    firsts.set(first, (firsts.get(first) ?? 0) + 1);
  }
  for (const member of four) expect(Math.abs((firsts.get(member) ?? 0) - 1_000)).toBeLessThan(150);
  expect(rank('a', 1)).toBe(rank('a', 1));
  expect(rank('a', 1)).toBeGreaterThanOrEqual(0);
});

test('a member that joins, or the same one leaving, moves little more than it must', () => {
  let joined = 0;
  let least = 0;
  for (let round = 0; round < 200; round++) {
    const size = 1 + (round % 8);
    const all = Array.from({ length: size }, (_, index) => `round-${round}-member-${index}`);
    for (const count of [12, 24, 64]) {
      joined += moved(assign(all, count), assign([...all, 'newcomer'], count));
      least += Math.floor(count / (size + 1));
    }
  }
  expect(joined / least).toBeGreaterThanOrEqual(1);
  expect(joined / least).toBeLessThan(1.3); // a new assignment without regard to ranks would be near 3
});
