import { SABOTEURS } from '@waybill/conformance';
import { expect, test } from 'vitest';
import type { Io } from '../src/io.ts';
import { run } from '../src/program.ts';
import { renderProof } from '../src/saboteurs-command.ts';

async function waybill(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  let [out, err] = ['', ''];
  const io: Io = {
    env: {},
    cwd: process.cwd(),
    stdout: (text) => (out += text),
    stderr: (text) => (err += text),
    isTerminal: false,
    now: () => new Date(0),
  };
  return { code: await run(['conformance', ...args], io), out, err };
}

test('--saboteurs: which case caught whom, and why', async () => {
  const { code, out } = await waybill('--saboteurs', '--filter', 'loses-source', '--seed', '7');
  expect(out).toMatch(/^1 of 1 saboteurs are caught/);
  expect(out).toMatch(/loses-source +✓ +P4\.id-time-type-source +fields of a/);
  expect(out).toContain('seed 7');
  expect(code).toBe(0);
});

test('what did not hold is said, and so is what is unproved', () => {
  const [saboteur] = SABOTEURS;
  const trial = { case: 'P1.x', verdict: 'passed', reason: null, ms: 1, expected: 'lost: ' } as const;
  const untouched = { verdict: 'passed', reason: null } as const;
  const proof = {
    id: 'loses',
    title: saboteur?.title ?? '',
    trials: [{ ...trial, untouched, holds: false }],
    holds: false,
  };
  const text = renderProof({ seed: 7, saboteurs: [proof], unproved: ['P2.y'] });
  expect(text).toMatch(/^0 of 1 saboteurs are caught/);
  expect(text).toContain('✗ loses: P1.x: passed');
  expect(text).toContain('1 cases are unproved: P2.y');
});

test.each([
  [['--saboteurs', '--filter', 'nobody'], /--filter nobody selects no saboteur/],
  [['--saboteurs', '--broker', 'memory'], /leave --broker out/],
  [[], /--broker is missing; allowed: memory/],
])('%j is wrong usage', async (args, message) => {
  const { code, err } = await waybill(...args);
  expect(code).toBe(2);
  expect(err).toMatch(message);
});
