import { describe, expect, test } from 'vitest';
import type { CaseContext } from '../src/case-context.ts';
import type { ConformanceCase, Fault } from '../src/case.ts';
import { content } from '../src/checkers/index.ts';
import { memoryHarness } from '../src/harness/memory.ts';
import type { CaseResult } from '../src/result.ts';
import { runSuite, startSuite } from '../src/runner.ts';
import { InfrastructureError } from '../src/signals.ts';
import type { Harness } from '../src/target.ts';

function one(run: ConformanceCase['run'], rest: Partial<ConformanceCase> = {}): ConformanceCase {
  return { id: 'P1.test', guarantees: ['P1'], title: 'A test.', cost: 'quick', run, ...rest };
}

async function verdict(which: ConformanceCase, harness: Harness = memoryHarness()): Promise<CaseResult> {
  const { cases } = await runSuite({ target: harness, cases: [which], seed: 7 });
  await harness.close();
  const [result] = cases;
  if (result === undefined) throw new Error('no result');
  return result;
}

const trusts = (t: CaseContext): void => t.equal(1, 1, 'one');

describe('verdicts', () => {
  test('passed', async () => {
    const result = await verdict(one(async (t) => trusts(t)));
    expect(result).toMatchObject({ verdict: 'passed', reason: null, support: 'native', seed: 7, slice: null });
  });

  test('a case that examined nothing is inconclusive', async () => {
    expect(await verdict(one(async () => {}))).toMatchObject({
      verdict: 'inconclusive',
      reason: 'P1.test examined nothing',
    });
  });

  test('a checker that examined nothing makes it inconclusive', async () => {
    const result = await verdict(one(async (t) => t.judge(content())));
    expect(result).toMatchObject({ verdict: 'inconclusive', reason: 'content examined nothing' });
  });

  test('a violation fails it, with the slice that shows it', async () => {
    const result = await verdict(
      one(async (t) => {
        const orders = t.topic('orders', { ordering: 'spread' });
        const bus = await t.connect();
        const consumer = await t.consume(bus, orders, { group: t.group('g') });
        await t.publish(bus, orders, 'k1');
        await t.until(() => consumer.count === 1, 'it arrives');
        t.judge((history) => {
          const [{ id, key, topic } = { id: '', key: '', topic: '' }] = history.deliveries;
          return {
            checker: 'x',
            examined: 1,
            findings: [{ kind: 'lost', allowed: false, text: 'it is gone', id, key, topic }],
          };
        });
      }),
    );
    expect(result).toMatchObject({ verdict: 'failed', reason: '1 × lost: it is gone' });
    for (const part of [
      'publish.start',
      'publish.confirmed',
      'arrive',
      'deliver',
      'handler.end',
      'settle.ok',
      'key k1',
    ])
      expect(result.slice).toContain(part);
  });

  test('an error fails it', async () => {
    const result = await verdict(one(() => Promise.reject(new TypeError('no such thing'))));
    expect(result).toMatchObject({ verdict: 'failed', reason: 'no such thing' });
  });

  test('a deadline that passes fails it; with a dead broker it is inconclusive', async () => {
    const waits = one(async (t) => t.until(() => false, 'the end of days', { total: 30 }));
    expect(await verdict(waits)).toMatchObject({
      verdict: 'failed',
      reason: expect.stringMatching(/^the end of days: not within/),
    });
    const dead = { ...memoryHarness(), healthy: () => Promise.resolve(false) };
    expect(await verdict(waits, dead)).toMatchObject({ verdict: 'inconclusive' });
  });

  test('a case that never ends is ended', async () => {
    const result = await verdict(one(() => new Promise(() => {}), { timeout: 50 }));
    expect(result).toMatchObject({ verdict: 'failed', reason: expect.stringContaining('did not end within') });
  });

  test('an unhandled rejection fails it', async () => {
    const listeners = process.listeners('unhandledRejection');
    process.removeAllListeners('unhandledRejection'); // Vitest's own: it would fail this test
    try {
      const result = await verdict(
        one(async (t) => {
          trusts(t);
          void Promise.reject(new Error('nobody cares'));
        }),
      );
      expect(result).toMatchObject({ verdict: 'failed', reason: expect.stringContaining('nobody cares') });
    } finally {
      for (const listener of listeners) process.on('unhandledRejection', listener);
    }
  });

  test('an error that core logs fails it, unless the case expects it', async () => {
    expect(await verdict(logs(false))).toMatchObject({
      verdict: 'failed',
      reason: expect.stringContaining('core logged'),
    });
    expect(await verdict(logs(true))).toMatchObject({ verdict: 'passed' });
  });

  test('infrastructure is tried again, twice at most', async () => {
    let runs = 0;
    const flaky = (until: number) =>
      one(async (t) => {
        if (++runs < until) throw new InfrastructureError(`start ${runs}`);
        trusts(t);
      });
    expect(await verdict(flaky(3))).toMatchObject({ verdict: 'passed', reruns: ['start 1', 'start 2'] });
    runs = 0;
    expect(await verdict(flaky(9))).toMatchObject({
      verdict: 'inconclusive',
      reason: 'start 3',
      reruns: ['start 1', 'start 2'],
    });
  });

  test('a known gap makes a failure inconclusive, and is said to be gone when it is', async () => {
    const harness = { ...memoryHarness(), knownGaps: { 'P1.test': 'the emulator forgets' } };
    const fails = one(async (t) => t.fail('forgotten'));
    expect(await verdict(fails, harness)).toMatchObject({
      verdict: 'inconclusive',
      reason: expect.stringContaining('the emulator forgets'),
    });
    const passes = one(async (t) => trusts(t));
    expect(await verdict(passes, harness)).toMatchObject({
      verdict: 'passed',
      observations: ['the known gap is gone: the emulator forgets'],
    });
  });

  test('not-run: a fault or a spy that the harness lacks, or no broker at all', async () => {
    const faulty = one(async () => {}, { faults: ['kill-broker', 'cut'] });
    expect(await verdict(faulty)).toMatchObject({
      verdict: 'not-run',
      reason: 'the harness of memory can not: kill-broker',
    });
    const blind = { ...memoryHarness(), spy: {} };
    expect(
      await verdict(
        one(async (t) => void (await t.spy.inFlight('x', 'y'))),
        blind,
      ),
    ).toMatchObject({
      verdict: 'not-run',
      reason: expect.stringContaining('spy: inFlight'),
    });
    const target = { name: 'kafka', missing: 'no address, no container', required: false };
    const { cases, how, reason, unexercised } = await runSuite({ target, cases: [faulty] });
    expect(cases).toMatchObject([{ verdict: 'not-run', reason: 'no address, no container' }]);
    expect({ how, reason }).toEqual({ how: 'none', reason: 'no address, no container' });
    expect(unexercised).toContain('P1');
  });
});

describe('refusals', () => {
  const ordered = one(async () => {}, { needs: { 'order.key': true } });

  test('a connection that crashes stands for a consumer process, where there are none; nothing stands for one that is stopped', async () => {
    const passes = async (t: CaseContext): Promise<void> => trusts(t);
    expect(await verdict(one(passes, { faults: ['kill-consumer'] }))).toMatchObject({ verdict: 'passed' });
    expect(await verdict(one(passes, { faults: ['stop-consumer'] }))).toMatchObject({ verdict: 'not-run' });
    const none = { ...memoryHarness(), faults: {} };
    expect(await verdict(one(passes, { faults: ['kill-consumer'] }), none)).toMatchObject({ verdict: 'not-run' });
    const child = { module: 'none', config: { url: 'memory:', options: {}, client: 'none' } };
    for (const [fault, wanted] of [
      ['kill-consumer', 'passed'],
      ['stop-consumer', 'passed'],
      ['crash-connection', 'not-run'],
    ] as const)
      expect(await verdict(one(passes, { faults: [fault] }), { ...none, child })).toMatchObject({ verdict: wanted });
  });

  test('what is refused must be refused when it is asked for', async () => {
    const result = await verdict(ordered, memoryHarness('memory-unordered'));
    expect(result).toMatchObject({
      verdict: 'refused',
      support: 'refused',
      reason: expect.stringContaining('order.key'),
    });
  });

  test('a target that refuses and does it all the same has failed', async () => {
    const honest = memoryHarness();
    const { order } = honest.supports;
    const supports = { ...honest.supports, order: { ...order, key: { ...order.key, by: 'refused' as const } } };
    expect(await verdict(ordered, { ...honest, supports })).toMatchObject({ verdict: 'failed' });
  });

  test('where no option asks for it there is nothing to refuse', async () => {
    const counted = one(async () => {}, { needs: { 'settle.deliveryCount': true } });
    expect(await verdict(counted, memoryHarness('memory-emulated'))).toMatchObject({ verdict: 'refused' });
  });

  test('a declared value may leave a case without a subject', async () => {
    const cumulative = one(async () => {}, {
      declinedBy: ({ settle }) => (settle.mode === 'cumulative' ? null : 'settlement is individual'),
    });
    expect(await verdict(cumulative)).toMatchObject({ verdict: 'refused', reason: 'settlement is individual' });
  });
});

describe('the whole', () => {
  test('has the shape of the report, runs faults alone, and reports progress', async () => {
    let running = 0;
    let most = 0;
    const aloneWith: number[] = [];
    const cases = Array.from({ length: 6 }, (_, index) =>
      one(
        async (t) => {
          running += 1;
          most = Math.max(most, running);
          if (index >= 4) aloneWith.push(running);
          await t.pass(20);
          running -= 1;
          trusts(t);
        },
        { id: `P1.test-${index}`, cost: index >= 4 ? 'fault' : 'quick' },
      ),
    );
    const progress: number[] = [];
    const harness = memoryHarness();
    const result = await runSuite({
      target: harness,
      cases,
      parallel: 3,
      onProgress: (_, done) => progress.push(done),
    });
    expect(result).toMatchObject({
      name: 'memory',
      how: 'embedded',
      kind: 'real',
      version: null,
      reason: null,
      measures: [],
    });
    expect(result.cases.map(({ id }) => id)).toEqual(cases.map(({ id }) => id));
    expect(JSON.parse(JSON.stringify(result))).toEqual(result);
    expect(most).toBe(3);
    expect(aloneWith).toEqual([1, 1]);
    expect(progress).toEqual([1, 2, 3, 4, 5, 6]);
    await harness.close();
  });

  test('with connections of their own, cases that strike those run side by side; who strikes the broker runs alone', async () => {
    let running = 0;
    const beside: Record<string, number> = {};
    const closed: Harness[] = [];
    const apart = async (): Promise<Harness> => {
      const harness = memoryHarness();
      return Object.assign(harness, { close: async () => void closed.push(harness) });
    };
    const strikes = (fault: Fault, others: number): ConformanceCase =>
      one(
        async (t) => {
          running += 1;
          await t.until(() => running >= others, 'the others run, too');
          beside[fault] = running;
          await t.pass(20);
          running -= 1;
          trusts(t);
        },
        { id: `P1.${fault}`, cost: 'fault', faults: [fault] },
      );
    const cases = [strikes('cut', 2), strikes('stall', 2), strikes('restart', 1)];
    const { cases: results } = await runSuite({ target: { ...memoryHarness(), apart }, cases });
    expect(results.map(({ verdict: said }) => said)).toEqual(['passed', 'passed', 'passed']);
    expect(beside).toEqual({ cut: 2, stall: 2, restart: 1 });
    expect(closed).toHaveLength(3);
  });

  test('a case is told how much larger the run is to be', async () => {
    const seen: number[] = [];
    const cases = [one(async (t) => (seen.push(t.scale), trusts(t)))];
    for (const scale of [1, 10]) await runSuite({ target: memoryHarness(), cases, seed: 7, scale });
    expect(seen).toEqual([1, 10]);
  });

  test('the same seed gives a case the same chance', async () => {
    const drawn: number[] = [];
    const draws = one(async (t) => void drawn.push(t.random.next(), t.equal(1, 1, '') ?? 0));
    await verdict(draws);
    await verdict(draws);
    expect(drawn[0]).toBe(drawn[2]);
  });
});

/** A case in which core logs an error. */
function logs(allow: boolean): ConformanceCase {
  return one(async (t) => {
    trusts(t);
    if (allow) t.allowLog(/listener/);
    const orders = t.topic('orders');
    const bus = await t.connect();
    bus.on('subscribed', () => {
      throw new Error('a listener that throws');
    });
    await t.consume(bus, orders, { group: t.group('g') });
  });
}

describe('tidy', () => {
  test('is told every name of a case that has ended, however it ended', async () => {
    const told: (readonly string[])[] = [];
    const used: string[] = [];
    const harness: Harness = { ...memoryHarness(), tidy: async (names) => void told.push(names) };
    const result = await verdict(
      one(async (t) => {
        used.push(t.topic('orders').name, t.group('inventory'));
        t.equal(1, 2, 'one');
      }),
      harness,
    );
    expect([result.verdict, told]).toEqual(['failed', [used]]);
  });

  test('a case is not judged by it', async () => {
    const harness: Harness = { ...memoryHarness(), tidy: () => Promise.reject(new Error('no')) };
    expect(
      (
        await verdict(
          one(async (t) => trusts(t)),
          harness,
        )
      ).verdict,
    ).toBe('passed');
  });
});

describe('a deadline that passes', () => {
  const outside: Harness = { ...memoryHarness(), how: 'process' };

  async function runsOf(harness: Harness, busy: boolean, cures: number): Promise<[number, CaseResult]> {
    let runs = 0;
    const suite = startSuite(harness, 7, { busy: () => busy });
    const result = await suite.run(
      one(async (t) => {
        runs += 1;
        await t.until(() => runs > cures, 'it comes', { total: 10 });
        trusts(t);
      }),
    );
    suite.end();
    return [runs, result];
  }

  test('beside a broker of its own, on a busy machine, is tried again, and told', async () => {
    const [runs, result] = await runsOf(outside, true, 1);
    expect([runs, result.verdict, result.reruns.length]).toEqual([2, 'passed', 1]);
    expect(result.reruns[0]).toMatch('it comes: not within');
  });

  test('three times is a failure', async () => {
    const [runs, result] = await runsOf(outside, true, 9);
    expect([runs, result.verdict, result.reruns.length]).toEqual([3, 'failed', 2]);
  });

  test('with nothing to blame, or with a known gap, counts at once', async () => {
    const gap: Harness = { ...outside, knownGaps: { 'P1.test': 'it never comes' } };
    const verdicts = [];
    for (const [harness, busy] of [
      [outside, false],
      [memoryHarness(), true],
      [gap, true],
    ] as const) {
      const [runs, { verdict: found }] = await runsOf(harness, busy, 1);
      verdicts.push([runs, found]);
    }
    expect(verdicts).toEqual([
      [1, 'failed'],
      [1, 'failed'],
      [1, 'inconclusive'],
    ]);
  });

  test('after what a checker has found is none', async () => {
    let runs = 0;
    const suite = startSuite(outside, 7, { busy: () => true });
    const result = await suite.run(
      one(async (t) => {
        runs += 1;
        t.equal(1, 2, 'one');
      }),
    );
    suite.end();
    expect([runs, result.verdict]).toEqual([1, 'failed']);
  });
});
