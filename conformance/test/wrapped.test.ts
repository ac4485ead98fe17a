import type { Adapter } from '@waybill/core/adapter';
import { describe, expect, test } from 'vitest';
import { confirmed } from '../src/cases/publish/confirmed.ts';
import { wrapped as members } from '../src/cases/wrapped.ts';
import { memoryHarness } from '../src/harness/memory.ts';
import { wrapHarness } from '../src/harness/wrapped.ts';
import type { CaseResult } from '../src/result.ts';
import { runSuite } from '../src/runner.ts';

/** The first case of P1 on memory, through this wrapper. */
async function wrapped(publish: (inner: Adapter) => Adapter['publish']): Promise<CaseResult | undefined> {
  const inner = memoryHarness();
  const target = wrapHarness(inner, 'wrapped', (adapter) => members(adapter, { publish: publish(adapter) }));
  const { cases } = await runSuite({ target, cases: confirmed.slice(0, 1), seed: 1 });
  await target.close();
  return cases[0];
}

describe('a wrapped harness', () => {
  test('a wrapper that changes nothing changes no verdict', async () => {
    expect(
      await wrapped(
        (inner) =>
          (...args) =>
            inner.publish(...args),
      ),
    ).toMatchObject({ verdict: 'passed' });
  });

  test('an adapter that loses one confirmed message in a hundred is found out', async () => {
    let sent = 0;
    const result = await wrapped((inner) => async (destination, messages, signal) => {
      const kept = messages.filter(() => ++sent % 100 !== 0);
      const outcomes = [...(await inner.publish(destination, kept, signal))];
      return messages.map((message) =>
        kept.includes(message) ? (outcomes.shift() ?? { status: 'skipped' }) : { status: 'confirmed', position: null },
      );
    });
    expect(result).toMatchObject({
      verdict: 'failed',
      reason: expect.stringMatching(/^2\d × lost: .* was confirmed, but never delivered/),
    });
  });

  test('an adapter that changes a body is found out, and the slice shows where', async () => {
    let sent = 0;
    const result = await wrapped((inner) => (destination, messages, signal) => {
      const changed = messages.map((message) =>
        ++sent === 500
          ? { ...message, body: Buffer.from(Buffer.from(message.body).toString().replace('"seq"', '"sEq"')) }
          : message,
      );
      return inner.publish(destination, changed, signal);
    });
    expect(result).toMatchObject({ verdict: 'failed', reason: expect.stringContaining('2 × content') });
    expect(result?.slice).toContain('with another body');
  });
});
