import { describe, expect, test } from 'vitest';
import { backoff, delayed, expiredInTime, redelivered, timing } from '../../src/checkers/index.ts';
import type { Checker } from '../../src/finding.ts';
import { script } from './build.ts';

describe('timing', () => {
  test('finds early and late ones, and says the figures', () => {
    const { findings, examined, figures } = timing('pause', () => [
      { ms: 98.9, low: 100, high: 200, text: 'a' },
      { ms: 99.5, low: 100, high: 200, text: 'within the reading error' },
      { ms: 150, low: 100, high: 200, text: 'b' },
      { ms: 201, low: 100, high: 200, text: 'c' },
      { ms: 999, low: 100, high: null, text: 'without a bound' },
    ])(script().history);
    expect(findings.map((one) => [one.kind, one.allowed])).toEqual([
      ['early', false],
      ['late', false],
    ]);
    expect(examined).toBe(5);
    expect(figures).toEqual({ pauseMin: 98.9, pauseMedian: 150, pauseMax: 999 });
  });
});

describe('delayed', () => {
  test.each([
    ['early', 190, ['early']],
    ['in time', 210, []],
    ['in time by the end of the publish', 260, []],
    ['late', 280, ['late']],
  ])('%s', (_, ms, kinds) => {
    const { findings, examined } = after(ms);
    expect(findings.map((one) => one.kind)).toEqual(kinds);
    expect(examined).toBe(1);
  });

  test('looks at first deliveries of delayed messages only', () => {
    const built = script()
      .publish('1')
      .deliver({ id: '1' })
      .publish('2', { delay: 10 })
      .deliver({ id: '2', outcome: 'threw' });
    expect(delayed({ lateness: 50 })(built.at(9_000).deliver({ id: '2', attempt: 2 }).history)).toMatchObject({
      findings: [],
      examined: 1,
    });
  });
});

describe('backoff', () => {
  test('measures from the end of a failed run to the next', () => {
    const built = script()
      .deliver({ id: '1', outcome: 'threw' })
      .at(120)
      .deliver({ id: '1', attempt: 2, outcome: 'threw' });
    const { findings, examined } = backoff({ bounds })(built.at(500).deliver({ id: '1', attempt: 3 }).history);
    expect(examined).toBe(2);
    expect(findings.map((one) => one.kind)).toEqual(['late']);
  });

  test('finds one without a pause', () => {
    const built = script().deliver({ id: '1', outcome: 'threw' }).deliver({ id: '1', attempt: 2 });
    expect(backoff({ bounds })(built.history).findings).toMatchObject([{ kind: 'early' }]);
  });

  test('examines nothing when nothing was retried', () => {
    expect(backoff({ bounds })(script().deliver({ id: '1' }).deliver({ id: '1' }).history).examined).toBe(0);
  });
});

describe('redelivered', () => {
  test('measures from the kill to the next run', () => {
    const built = script();
    built.start({ id: '1' });
    built.start({ id: '2' });
    built
      .deliver({ id: 'done' })
      .killed()
      .at(200)
      .deliver({ id: '1', consumer: 'c2' })
      .at(2_000)
      .deliver({ id: '2', consumer: 'c2' });
    const { findings, examined } = redelivered({ bound: 1_000 })(built.history);
    expect(examined).toBe(2);
    expect(findings).toMatchObject([{ kind: 'late', id: '2' }]);
  });
});

describe('expiredInTime', () => {
  test('finds a handler that starts after the expiry', () => {
    const built = script().publish('1', { expires: 1_100 }).publish('2', { expires: 1_100 }).deliver({ id: '1' });
    const { findings, examined } = expiredInTime()(built.at(150).deliver({ id: '2' }).history);
    expect(findings).toMatchObject([{ kind: 'late', id: '2' }]);
    expect(examined).toBe(2);
  });
});

function after(ms: number): ReturnType<Checker> {
  return delayed({ lateness: 50 })(script().publish('1', { delay: 200 }).at(ms).deliver({ id: '1' }).history);
}

function bounds(attempt: number): { low: number; high: number } {
  return { low: 100 * attempt, high: 100 * attempt + 50 };
}
