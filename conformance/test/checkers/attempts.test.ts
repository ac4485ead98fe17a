import { describe, expect, test } from 'vitest';
import { attempts } from '../../src/checkers/index.ts';
import { type Script, script } from './build.ts';

/** Runs of one message that threw, with these attempts. */
function runs(...list: readonly number[]): Script {
  const built = script();
  for (const attempt of list) built.deliver({ id: '1', attempt, outcome: 'threw' });
  return built;
}

describe('attempts', () => {
  test('accepts 1, 2, 3', () => {
    expect(attempts({ expected: 3 })(runs(1, 2, 3).send('1', 'dead-letter').history)).toMatchObject({
      findings: [],
      examined: 1,
    });
  });

  test.each([
    ['begins at 2', [2]],
    ['stands still', [1, 1]],
    ['skips', [1, 3]],
    ['falls back', [1, 2, 1]],
  ])('finds one that %s', (_, list) => {
    expect(attempts()(runs(...list).history).findings.length).toBeGreaterThan(0);
  });

  test.each([
    ['too few', [1, 2]],
    ['too many', [1, 2, 3, 4]],
  ])('finds %s runs before the dead letter', (_, list) => {
    expect(attempts({ expected: 3 })(runs(...list).send('1', 'dead-letter').history).findings).toHaveLength(1);
  });

  test('finds a run after the dead letter that is no redrive', () => {
    const built = runs(1, 2).send('1', 'dead-letter').deliver({ id: '1', attempt: 3 });
    expect(attempts()(built.history).findings).toMatchObject([{ kind: 'attempts', id: '1' }]);
  });

  test('a redrive begins again at 1', () => {
    const built = runs(1, 2).send('1', 'dead-letter').deliver({ id: '1', attempt: 1 });
    expect(attempts()(built.history).findings).toEqual([]);
  });

  test('what was cut short costs no attempt', () => {
    const built = script();
    built.start({ id: '1' });
    built.killed().deliver({ id: '1', consumer: 'c2', outcome: 'aborted' }).deliver({ id: '1', attempt: 1 });
    expect(attempts()(built.history).findings).toEqual([]);
    const charged = script().deliver({ id: '1', outcome: 'aborted' }).deliver({ id: '1', attempt: 2 });
    expect(attempts()(charged.history).findings).toHaveLength(1);
  });

  test('attempts that are not durable may start again after a crash', () => {
    const built = script().deliver({ id: '1', outcome: 'threw' });
    built.start({ id: '1', attempt: 2 });
    built.killed().deliver({ id: '1', attempt: 1, consumer: 'c2' });
    expect(attempts({ durable: false })(built.history).findings).toEqual([]);
    expect(attempts()(built.history).findings).toHaveLength(1);
  });

  test('without a crash even those that are not durable go on', () => {
    expect(attempts({ durable: false })(runs(1, 2, 1).history).findings).toHaveLength(1);
  });

  test('one that succeeded need not use up its attempts; groups are apart', () => {
    const built = script()
      .deliver({ id: '1', outcome: 'threw' })
      .deliver({ id: '1', attempt: 2 })
      .deliver({ id: '1', group: 'h' });
    expect(attempts({ expected: 5 })(built.history)).toMatchObject({ findings: [], examined: 2 });
  });
});
