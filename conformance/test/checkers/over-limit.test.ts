import { describe, expect, test } from 'vitest';
import { concurrency, held, heldBytes } from '../../src/checkers/index.ts';
import { type Script, script } from './build.ts';

function sent(count: number): Script {
  const built = script();
  for (let id = 1; id <= count; id++) built.publish(String(id));
  return built;
}

describe('concurrency', () => {
  test('finds more handlers at once than allowed, per consumer', () => {
    const built = sent(14);
    const first = built.start({ id: '1' });
    const second = built.start({ id: '2' });
    built.start({ id: '3', consumer: 'c2' });
    expect(concurrency({ limit: 2 })(built.history)).toMatchObject({ findings: [], figures: { concurrencyMax: 2 } });
    expect(concurrency({ limit: 2, per: 'group' })(built.history).findings).toMatchObject([
      { kind: 'over-limit', allowed: false },
    ]);
    built.start({ id: '4' });
    expect(concurrency({ limit: 2 })(built.end(first).end(second).history).findings).toHaveLength(1);
  });

  test('one after the other is one at once', () => {
    const built = sent(12);
    for (let id = 1; id <= 12; id++) built.deliver({ id: String(id) });
    expect(concurrency({ limit: 1 })(built.history)).toMatchObject({
      findings: [],
      examined: 12,
      figures: { concurrencyMax: 1 },
    });
  });

  test('a batch is one handler', () => {
    const built = sent(12);
    for (const id of ['1', '2', '3']) built.start({ id, batch: 1 });
    expect(concurrency({ limit: 1 })(built.history)).toMatchObject({ findings: [], examined: 1 });
  });

  test('too few messages can’t show a limit', () => {
    const built = sent(5).deliver({ id: '1' });
    expect(concurrency({ limit: 3 })(built.history).inconclusive).toContain('only 5');
  });
});

describe('held', () => {
  test('counts arrivals until they are settled', () => {
    const built = sent(16);
    const first = built.arrive('1');
    const second = built.arrive('2');
    built.settle(first).settle(second, 'lost');
    built.arrive('3');
    built.arrive('4');
    expect(held({ limit: 2 })(built.history)).toMatchObject({ findings: [], figures: { heldMax: 2 } });
    built.arrive('5');
    expect(held({ limit: 2 })(built.history).findings).toHaveLength(1);
  });

  test('a settle that failed frees nothing; the end of the attachment or the consumer does', () => {
    const built = sent(16);
    built.settle(built.arrive('1'), 'fail');
    built.arrive('2');
    expect(held({ limit: 1 })(built.history).findings).toHaveLength(1);
    const ended = sent(16);
    ended.arrive('1');
    ended.add({ type: 'detached', attachment: 1, consumer: 'c1' });
    ended.arrive('1', { attachment: 2 });
    expect(held({ limit: 1 })(ended.history).findings).toEqual([]);
    const dead = sent(16);
    dead.arrive('1');
    dead.killed().arrive('1', { attachment: 2, consumer: 'c2' });
    expect(held({ limit: 1, per: 'group' })(dead.history).findings).toEqual([]);
  });

  test('where settlement is cumulative, a handler that returned frees its credit', () => {
    const built = sent(16);
    built.arrive('1');
    built.deliver({ id: '1' });
    built.arrive('2');
    expect(held({ limit: 1 })(built.history).findings).toHaveLength(1);
    expect(held({ limit: 1, cumulative: true })(built.history).findings).toEqual([]);
  });

  test('what is read to list dead letters is not held', () => {
    const built = sent(16);
    built.arrive('1');
    built.arrive('2', { origin: 'dead-letter' });
    expect(held({ limit: 1 })(built.history).findings).toEqual([]);
  });
});

describe('heldBytes', () => {
  test('may overshoot by one receive', () => {
    const built = sent(3);
    built.arrive('1', { bytes: 600 });
    built.arrive('2', { bytes: 600 });
    const limits = { limit: 1_000, sent: 3 };
    expect(heldBytes(limits)(built.history).findings).toMatchObject([{ text: expect.stringContaining('1200 bytes') }]);
    expect(heldBytes({ ...limits, overshoot: 600 })(built.history).findings).toEqual([]);
  });
});
