import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  attempts,
  concurrency,
  content,
  duplicated,
  lost,
  overlapped,
  phantom,
  reordered,
  unexpected,
} from '../../src/checkers/index.ts';
import type { Checker } from '../../src/finding.ts';
import { type Script, script } from './build.ts';

interface Plan {
  /** Per message, in order of publishing: its key, and how often it fails first. */
  readonly messages: readonly { key: number; fails: number }[];
  /** Draws which key goes on next. */
  readonly turns: readonly number[];
}

const plans: fc.Arbitrary<Plan> = fc.record({
  messages: fc.array(fc.record({ key: fc.nat({ max: 3 }), fails: fc.nat({ max: 2 }) }), {
    minLength: 12,
    maxLength: 30,
  }),
  turns: fc.array(fc.nat(), { minLength: 1, maxLength: 40 }),
});

type Fault = 'none' | 'lose' | 'swap' | 'overlap' | 'corrupt' | 'forget-attempt' | 'repeat' | 'leak' | 'phantom';

/** A correct run of one group: keys interleaved, each in order, every failure retried in place. With one fault, if any. */
function run(plan: Plan, fault: Fault): Script {
  const built = script().ready();
  const lanes = new Map<string, { id: string; fails: number }[]>();
  for (const [index, { key, fails }] of plan.messages.entries()) {
    const name = `k${key}`;
    built.publish(`m${index}`, { key: name });
    const lane = lanes.get(name) ?? [];
    lane.push({ id: `m${index}`, fails });
    lanes.set(name, lane);
  }
  if (fault === 'phantom') built.publish('ghost', { outcome: 'rejected' }).deliver({ id: 'ghost' });
  if (fault === 'leak') built.publish('elsewhere', { topic: 'emails' }).deliver({ id: 'elsewhere' });
  // The fault strikes the key with most messages: it has two at least.
  const victim = [...lanes].toSorted((a, b) => b[1].length - a[1].length)[0];
  if (victim === undefined) throw new Error('no messages');
  const [key, lane] = victim;
  if (fault === 'swap') lane.splice(0, 2, ...lane.slice(0, 2).toReversed());
  if (fault === 'lose') lane.splice(1, 1);
  let struck = fault === 'none' || fault === 'swap' || fault === 'lose' || fault === 'leak' || fault === 'phantom';
  for (let turn = 0; lanes.size > 0; turn++) {
    const names = [...lanes.keys()];
    const name = names[(plan.turns[turn % plan.turns.length] ?? 0) % names.length] ?? '';
    const queue = lanes.get(name) ?? [];
    const message = queue.shift();
    if (queue.length === 0) lanes.delete(name);
    if (message === undefined) continue;
    const { id } = message;
    const strikes = !struck && name === key;
    struck ||= strikes;
    const fails = strikes && fault === 'forget-attempt' ? 1 : message.fails;
    for (let attempt = 1; attempt <= fails; attempt++) built.deliver({ id, key: name, attempt, outcome: 'threw' });
    if (strikes && fault === 'overlap') {
      const one = built.start({ id, key: name, attempt: fails + 1 });
      const two = built.start({ id, key: name, attempt: fails + 1, consumer: 'c2' });
      built.end(one).end(two);
      continue;
    }
    const attempt = strikes && fault === 'forget-attempt' ? 1 : fails + 1;
    built.deliver({ id, key: name, attempt, ...(strikes && fault === 'corrupt' ? { body: 'other' } : {}) });
    if (strikes && fault === 'repeat') built.deliver({ id, key: name, attempt: fails + 1 });
  }
  return built.drained();
}

const checkers: Readonly<Record<string, Checker>> = {
  lost: lost(),
  phantom: phantom(),
  unexpected: unexpected(),
  duplicated: duplicated({ forbidden: true }),
  reordered: reordered(),
  overlapped: overlapped(),
  attempts: attempts(),
  content: content(),
  concurrency: concurrency({ limit: 1, sent: 12 }),
};

/** For each fault, the checkers that must find it. No other may. */
const found: readonly (readonly [Fault, readonly string[]])[] = [
  ['none', []],
  ['lose', ['lost', 'reordered']],
  ['swap', ['reordered']],
  ['overlap', ['duplicated', 'overlapped']],
  ['corrupt', ['content']],
  ['forget-attempt', ['attempts']],
  ['repeat', ['duplicated']],
  ['leak', ['unexpected']],
  ['phantom', ['phantom']],
];

describe('checkers together', () => {
  test.each(found)('%s: found by %j, and by no other', (fault, by) => {
    fc.assert(
      fc.property(plans, (plan) => {
        const { history } = run(plan, fault);
        const names = Object.entries(checkers).flatMap(([name, checker]) =>
          checker(history).findings.some((finding) => !finding.allowed) ? [name] : [],
        );
        // A message that was lost at the end of its key passed nobody.
        const allowed = fault === 'lose' ? [['lost'], ['lost', 'reordered']] : [by];
        expect(allowed).toContainEqual(names);
      }),
      { numRuns: 100 },
    );
  });

  test('each examines something in a correct run', () => {
    fc.assert(
      fc.property(plans, (plan) => {
        const { history } = run(plan, 'none');
        for (const [name, checker] of Object.entries(checkers)) {
          const { examined, inconclusive } = checker(history);
          expect(inconclusive).toBeUndefined();
          if (name !== 'phantom') expect(examined).toBeGreaterThan(0);
        }
      }),
      { numRuns: 50 },
    );
  });
});
