import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compileFilter, type Filter, sameFilter } from '../src/filter.ts';

const none = (): undefined => undefined;
const matchesType = (pattern: string | string[], type: string): boolean => compileFilter({ type: pattern })(type, none);

describe('patterns', () => {
  test.each([
    ['created', 'created', true],
    ['created', 'createdx', false],
    ['created', 'create', false],
    ['order.*', 'order.paid', true],
    ['order.*', 'order.', true],
    ['order.*', 'order', false],
    ['order.*', 'order.paid.late', false],
    ['order.*', 'xorder.paid', false],
    ['*.paid', 'order.paid', true],
    ['*.paid', 'order.paidx', false],
    ['order.*.late', 'order.paid.late', true],
    ['order.#', 'order', true],
    ['order.#', 'order.paid.late', true],
    ['order.#', 'orders.paid', false],
    ['order.**', 'order.paid.late', true],
    ['#', '', true],
    ['#', 'a.b', true],
    ['*', '', true],
    ['*.#', 'a', true],
    ['', '', true],
    ['', 'a', false],
    ['a.', 'a.', true],
  ])('%j on %j: %s', (pattern, type, expected) => expect(matchesType(pattern, type)).toBe(expected));

  test('equal a naive matcher', () => {
    const naive = (pattern: string[], value: string[]): boolean => {
      const [first, ...rest] = pattern;
      if (first === undefined) return value.length === 0;
      if (first === '#') return true;
      return value.length > 0 && (first === '*' || first === value[0]) && naive(rest, value.slice(1));
    };
    const segment = fc.constantFrom('a', 'b', '', 'ab', '*');
    const pattern = fc
      .tuple(fc.array(segment, { minLength: 1, maxLength: 4 }), fc.boolean())
      .map(([list, tail]) => (tail ? [...list, '#'] : list));
    const value = fc.array(fc.constantFrom('a', 'b', '', 'ab', 'x'), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(pattern, value, (wanted, given) => {
        expect(matchesType(wanted.join('.'), given.join('.'))).toBe(naive(wanted, given));
      }),
      { numRuns: 2_000 },
    );
  });

  test('take linear time', () => {
    const matches = compileFilter({ type: `${'*.'.repeat(5_000)}x` });
    const start = process.cpuUsage(); // not the wall clock: other tests run beside this one
    for (let round = 0; round < 20; round++) matches('a.'.repeat(500_000), none);
    expect(process.cpuUsage(start).user).toBeLessThan(2_000_000);
  });

  test.each(['a*', '*a', 'a.b*.c', '#.a', '**.a', 'a#', '***', 'a.##'])('%s is refused', (pattern) => {
    for (const filter of [{ type: pattern }, { headers: { region: ['eu', pattern] } }]) {
      expect(() => compileFilter(filter)).toThrow(
        expect.objectContaining({ code: 'invalid', message: expect.stringContaining(`'${pattern}'`) as string }),
      );
    }
  });
});

describe('filters', () => {
  const headers: Record<string, string> = { region: 'eu.west', tenant: 't1' };
  const ask = (filter: Filter, type: string | null = 'created'): boolean =>
    compileFilter(filter)(type, (name) => headers[name]);

  test('need every part, and one pattern of each', () => {
    expect(ask({})).toBe(true);
    expect(ask({ type: ['deleted', 'created'] })).toBe(true);
    expect(ask({ type: ['deleted', 'x.*'] })).toBe(false);
    expect(ask({ type: 'created', headers: { region: 'eu.*', tenant: ['t1', 't2'] } })).toBe(true);
    expect(ask({ type: 'created', headers: { region: 'eu.*', tenant: 't2' } })).toBe(false);
    expect(ask({ type: 'deleted', headers: { region: 'eu.*' } })).toBe(false);
  });

  test('what is absent does not match, not even #', () => {
    expect(ask({ type: '#' }, null)).toBe(false);
    expect(ask({ headers: { absent: '#' } })).toBe(false);
    expect(ask({}, null)).toBe(true);
  });

  test('refuse what they do not know', () => {
    expect(() => compileFilter({ typ: 'x' } as Filter)).toThrow("filter has 'typ'; allowed: type, headers");
    expect(() => compileFilter({ type: [] })).toThrow('empty list');
    expect(() => compileFilter({ type: 5 as unknown as string })).toThrow('pattern 5');
    expect(() => compileFilter({ headers: { region: [] } })).toThrow("header 'region' is an empty list");
  });

  test('are the same when they say the same', () => {
    const same: [Filter | null | undefined, Filter | null | undefined][] = [
      [undefined, {}],
      [null, { headers: {} }],
      [{ type: 'a' }, { type: ['a', 'a'] }],
      [{ type: ['a', 'b'] }, { type: ['b', 'a'] }],
      [{ type: 'a.**' }, { type: 'a.#' }],
      [{ headers: { a: '1', b: ['2', '3'] } }, { headers: { b: ['3', '2'], a: ['1'] } }],
    ];
    for (const [a, b] of same) expect(sameFilter(a, b) && sameFilter(b, a), JSON.stringify([a, b])).toBe(true);
    const different: [Filter, Filter][] = [
      [{ type: 'a' }, {}],
      [{ type: '#' }, {}],
      [{ type: 'a' }, { type: 'b' }],
      [{ type: 'a' }, { headers: { type: 'a' } }],
      [{ headers: { a: '1' } }, { headers: { b: '1' } }],
      [{ headers: { a: '1' } }, { headers: { a: ['1', '2'] } }],
    ];
    for (const [a, b] of different) expect(sameFilter(a, b), JSON.stringify([a, b])).toBe(false);
  });
});
