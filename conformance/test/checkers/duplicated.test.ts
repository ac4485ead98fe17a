import { describe, expect, test } from 'vitest';
import { duplicated, resettled } from '../../src/checkers/index.ts';
import { script } from './build.ts';

describe('duplicated', () => {
  test('a retry after a run that threw is none', () => {
    const { history } = script().deliver({ id: '1', outcome: 'threw' }).deliver({ id: '1', attempt: 2 });
    expect(duplicated({ forbidden: true })(history)).toMatchObject({ findings: [], examined: 1 });
  });

  test.each(['returned', 'aborted'] as const)('a second run after one that %s is one', (outcome) => {
    const { history } = script().deliver({ id: '1', outcome }).deliver({ id: '1' }).deliver({ id: '2' });
    const { findings, figures } = duplicated({ forbidden: true })(history);
    expect(findings).toMatchObject([{ kind: 'duplicated', allowed: false, id: '1' }]);
    expect(figures).toEqual({ duplicated: 1, duplicateRate: 0.5 });
  });

  test('is allowed unless forbidden, and separate per group', () => {
    const built = script().deliver({ id: '1', group: 'a' }).deliver({ id: '1', group: 'b' });
    expect(duplicated({ forbidden: true })(built.history).findings).toEqual([]);
    expect(duplicated()(built.deliver({ id: '1', group: 'b' }).history).findings).toMatchObject([
      { allowed: true, group: 'b' },
    ]);
  });

  test('a run that begins before the failed one has ended is one', () => {
    const built = script();
    const first = built.start({ id: '1' });
    const second = built.start({ id: '1', consumer: 'c2' });
    const { history } = built.end(first, 'threw').end(second);
    expect(duplicated({ forbidden: true })(history).findings).toHaveLength(1);
  });

  test('by `returned`, only effects count', () => {
    const built = script();
    built.start({ id: '1' });
    built.killed().deliver({ id: '1', consumer: 'c2' });
    expect(duplicated({ forbidden: true, by: 'returned' })(built.history).findings).toEqual([]);
    expect(duplicated({ forbidden: true })(built.history).findings).toHaveLength(1);
    built.deliver({ id: '1', consumer: 'c2' });
    expect(duplicated({ forbidden: true, by: 'returned' })(built.history).findings).toHaveLength(1);
  });
});

describe('resettled', () => {
  test('finds a second arrival after a confirmed ack', () => {
    const built = script();
    built.settle(built.arrive('1', { position: '5' }));
    built.arrive('1', { position: '5', attachment: 2 });
    expect(resettled()(built.history).findings).toMatchObject([{ kind: 'resettled', allowed: false, id: '1' }]);
    expect(resettled({ repeats: 'rare' })(built.history)).toMatchObject({
      findings: [{ allowed: true }],
      figures: { resettledRate: 1 },
    });
  });

  test.each(['lost', 'fail'] as const)('an ack that was %s settles nothing', (result) => {
    const built = script();
    built.settle(built.arrive('1', { position: '5' }), result);
    built.arrive('1', { position: '5' });
    expect(resettled()(built.history)).toMatchObject({ findings: [], examined: 0 });
  });

  test('an arrival before the ack was confirmed is none', () => {
    const built = script();
    const first = built.arrive('1', { position: '5' });
    built.arrive('1', { position: '5', consumer: 'c2', attachment: 2 });
    expect(resettled()(built.settle(first).history)).toMatchObject({ findings: [], examined: 1 });
  });

  test('a cumulative ack settles what is below it in its partition', () => {
    const built = script();
    built.arrive('1', { position: '5' });
    built.arrive('other', { position: '5', partition: 1 });
    const top = built.arrive('2', { position: '6' });
    built.settle(top, 'ok', true);
    built.arrive('1', { position: '5', attachment: 2 });
    built.arrive('other', { position: '5', partition: 1, attachment: 2 });
    expect(resettled()(built.history).findings.map((one) => one.id)).toEqual(['1']);
  });

  test('copies are other messages: requeued ones, and those that core sent twice', () => {
    const built = script();
    built.settle(built.arrive('1'));
    built.arrive('1', { origin: 'inbox' });
    expect(resettled()(built.history).findings).toEqual([]);
    built.arrive('1');
    expect(resettled()(built.history).findings).toHaveLength(1);
    expect(resettled()(built.send('1').send('1').history).findings).toEqual([]);
  });
});
