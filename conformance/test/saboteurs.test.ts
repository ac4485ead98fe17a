import { describe, expect, test } from 'vitest';
import { CASES } from '../src/cases/index.ts';
import { newSeed } from '../src/runner.ts';
import { SABOTEURS, unprovedOf } from '../src/saboteurs/index.ts';
import { Controls, proveSaboteur } from '../src/saboteurs/proof.ts';
import type { Saboteur } from '../src/saboteurs/saboteur.ts';

const seed = Number(process.env['WAYBILL_SEED'] ?? newSeed());
const full = process.env['WAYBILL_SUITE'] === 'full';
const controls = new Controls(seed);

/** One catch and one spare of each; all of them in a full run, and by `waybill conformance --saboteurs`. */
function part(saboteur: Saboteur): Saboteur {
  if (full) return saboteur;
  const caughtBy = Object.fromEntries(Object.entries(saboteur.caughtBy).slice(0, 1));
  return { ...saboteur, caughtBy, spares: saboteur.spares.slice(0, 1) };
}

describe(`saboteurs (seed ${seed})`, () => {
  test.concurrent.each(SABOTEURS.map((one) => [one.id, one] as const))('%s', { timeout: 1_200_000 }, async (_, one) => {
    const { trials } = await proveSaboteur(part(one), seed, controls);
    expect(trials.filter(({ holds }) => !holds)).toEqual([]);
  });
});

test('ids are unique, each is caught by some case, and all cases named are there', () => {
  expect(new Set(SABOTEURS.map(({ id }) => id)).size).toBe(SABOTEURS.length);
  const known = new Set(CASES.map(({ id }) => id));
  for (const { id, title, caughtBy, spares } of SABOTEURS) {
    expect(id).toMatch(/^[a-z]+(-[a-z0-9]+)*$/);
    expect(title).toMatch(/^[A-Z].*\.$/);
    expect(Object.keys(caughtBy), id).not.toEqual([]);
    expect(Object.values(caughtBy), id).not.toContain('');
    expect(
      [...Object.keys(caughtBy), ...spares].filter((one) => !known.has(one)),
      id,
    ).toEqual([]);
    expect(
      spares.filter((one) => one in caughtBy),
      id,
    ).toEqual([]);
  }
});

test('cases that no saboteur is caught by are known as unproved', () => {
  expect(unprovedOf(['P1.confirmed-is-delivered', 'P1.no-such-case'])).toEqual(['P1.no-such-case']);
});
