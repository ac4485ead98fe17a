import { expect, test } from 'vitest';
import { mustRun } from '../src/cases/pace.ts';
import { InfrastructureError } from '../src/signals.ts';

test('a case whose process did not run for a third of the lease is run again, not judged', () => {
  expect(() => mustRun(2_000, () => 2_100)).toThrow(InfrastructureError);
  expect(() => mustRun(2_000, () => 2_100)).toThrow(/did not run for 700 ms.*lease of 2000 ms/);
  expect(() => mustRun(2_000, () => 2_000)).not.toThrow();
});
