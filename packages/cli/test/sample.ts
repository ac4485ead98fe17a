import type { CaseResult, GuaranteeId, TargetResult } from '@waybill/conformance';
import type { Report } from '../src/report-types.ts';

export function sampleCase(id: string, change: Partial<CaseResult> = {}): CaseResult {
  const guarantee = (id.split('.')[0] ?? id) as GuaranteeId;
  return {
    id,
    title: 'What holds.',
    guarantees: [guarantee],
    cost: 'quick',
    support: 'native',
    verdict: 'passed',
    reason: null,
    ms: 12,
    seed: 7,
    evidence: {},
    observations: [],
    slice: null,
    history: null,
    reruns: [],
    ...change,
  };
}

export function sampleTarget(
  name: string,
  cases: readonly CaseResult[],
  change: Partial<TargetResult> = {},
): TargetResult {
  return {
    name,
    how: 'embedded',
    kind: 'double',
    version: null,
    reason: null,
    supports: null,
    facts: {},
    abilities: [],
    cases,
    unexercised: [],
    unproved: [],
    measures: [],
    ...change,
  };
}

export function sampleReport(...targets: readonly TargetResult[]): Report {
  return { format: 1, created: '2026-01-31T12:00:00.000Z', waybill: '0.1.0', seed: 7, machine: 'linux x64', targets };
}

/** Text as hostile as a broker, a header name or an error message may be. */
export const HOSTILE =
  '</script><script>alert(1)</script><img src=x onerror=alert(1)> | a\n| b | [x](javascript:1) `c` @user \u001b[31mred\u202eevil\u2028 &amp;';
