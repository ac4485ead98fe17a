import type { TargetResult } from '@waybill/conformance';
import { describe, expect, test } from 'vitest';
import { exitCodeOf, requiredOf } from '../src/exit-code.ts';
import { sampleCase, sampleReport, sampleTarget } from './sample.ts';

const good = sampleTarget('memory', [
  sampleCase('P1.a'),
  sampleCase('D8.b', { verdict: 'refused', support: 'refused' }),
]);
const failed = sampleTarget('redis', [sampleCase('P1.a', { verdict: 'failed' })]);
const unsure = sampleTarget('redis', [
  sampleCase('P1.a'),
  sampleCase('P2.b', { verdict: 'inconclusive', reason: 'broker gone' }),
]);
const partly = sampleTarget('redis', [
  sampleCase('P1.a'),
  sampleCase('L1.cut', { verdict: 'not-run', reason: 'no proxy' }),
]);
const none = sampleTarget('redis', [sampleCase('P1.a', { verdict: 'not-run' })], {
  how: 'none',
  reason: 'WAYBILL_REDIS_URL is not set',
});
const gaps = { redis: { 'P2.b': 'the emulator does not do this' } };

describe('exitCodeOf', () => {
  test.each<[string, number, TargetResult[], 'all' | string[], typeof gaps | undefined]>([
    ['all passed or refused', 0, [good], 'all', undefined],
    ['a failed case', 1, [good, failed], [], undefined],
    ['failed goes before missing', 1, [failed, { ...none, name: 'kafka' }], 'all', undefined],
    ['a broker that nobody requires', 0, [good, none], [], undefined],
    ['a required broker did not run', 3, [good, none], ['redis'], undefined],
    ['all are required', 3, [good, none], 'all', undefined],
    ['a required broker is not even there', 3, [good], ['redis'], undefined],
    ['a fault that the harness lacks', 0, [good, partly], 'all', undefined],
    ['inconclusive', 3, [good, unsure], [], undefined],
    ['inconclusive, and known to be', 0, [good, unsure], [], gaps],
    ['known on another target only', 3, [good, { ...unsure, name: 'kafka' }], [], gaps],
    ['no case at all on a required broker', 3, [sampleTarget('memory', [])], ['memory'], undefined],
  ])('%s: %i', (_, code, targets, required, known) => {
    expect(exitCodeOf(sampleReport(...targets), required, known)).toBe(code);
  });
});

test.each([
  [undefined, []],
  ['', []],
  ['all', 'all'],
  ['redis, kafka', ['redis', 'kafka']],
])('WAYBILL_REQUIRE=%s', (text, expected) => expect(requiredOf(text)).toEqual(expected));
