import { describe, expect, test } from 'vitest';
import { overlapped, reordered } from '../../src/checkers/index.ts';
import { type Script, script } from './build.ts';

function published(...ids: readonly string[]): Script {
  const built = script();
  for (const id of ids) built.publish(id, { key: 'k' });
  return built;
}

describe('reordered', () => {
  test('finds nothing in order, keys interleaved', () => {
    const built = published('1', '2').publish('x', { key: 'other' });
    built.deliver({ id: '1', key: 'k' }).deliver({ id: 'x', key: 'other' }).deliver({ id: '2', key: 'k' });
    expect(reordered()(built.history)).toMatchObject({ findings: [], examined: 1 });
  });

  test('finds a swap', () => {
    const { history } = published('1', '2').deliver({ id: '2', key: 'k' }).deliver({ id: '1', key: 'k' });
    expect(reordered()(history).findings).toMatchObject([{ kind: 'reordered', allowed: false, id: '1', key: 'k' }]);
    expect(reordered({ allowed: true })(history).findings).toMatchObject([{ allowed: true }]);
  });

  test('judges first deliveries: a repetition out of order is none', () => {
    const built = published('1', '2')
      .deliver({ id: '1', key: 'k' })
      .deliver({ id: '2', key: 'k' })
      .deliver({ id: '1', key: 'k' });
    expect(reordered()(built.history).findings).toEqual([]);
  });

  test('finds a confirmed message that was passed over and never came; not one that was rejected', () => {
    const built = published('1', '2').publish('r', { key: 'k', outcome: 'rejected' }).publish('3', { key: 'k' });
    built.deliver({ id: '1', key: 'k' }).deliver({ id: '3', key: 'k' });
    expect(reordered()(built.history).findings).toMatchObject([{ kind: 'skipped', id: '3' }]);
  });

  test('what came before a group began is not passed over', () => {
    const { history } = published('1', '2').deliver({ id: '2', key: 'k' });
    expect(reordered()(history).findings).toEqual([]);
  });

  test('finds a key-mate that starts before the failing one is done', () => {
    const built = published('1', '2').deliver({ id: '1', key: 'k', outcome: 'threw' }).deliver({ id: '2', key: 'k' });
    const { history } = built.deliver({ id: '1', key: 'k', attempt: 2 });
    expect(reordered()(history).findings).toMatchObject([{ kind: 'overtaken', id: '2' }]);
    expect(reordered({ hold: false })(history).findings).toEqual([]);
  });

  test('retries in place hold the key; a dead letter releases it; a redrive later does no harm', () => {
    const built = published('1', '2').deliver({ id: '1', key: 'k', outcome: 'threw' });
    built.deliver({ id: '1', key: 'k', attempt: 2, outcome: 'threw' }).send('1', 'dead-letter');
    built.deliver({ id: '2', key: 'k' }).deliver({ id: '1', key: 'k' });
    expect(reordered()(built.history).findings).toEqual([]);
  });

  test('a follower that starts before the dead letter is stored has overtaken', () => {
    const built = published('1', '2').deliver({ id: '1', key: 'k', outcome: 'threw' });
    built.deliver({ id: '2', key: 'k' }).send('1', 'dead-letter');
    expect(reordered()(built.history).findings).toMatchObject([{ kind: 'overtaken', id: '2' }]);
  });

  test('one batch may hold several messages of a key', () => {
    const built = published('1', '2');
    const first = built.start({ id: '1', key: 'k', batch: 1 });
    const second = built.start({ id: '2', key: 'k', batch: 1 });
    expect(reordered()(built.end(first).end(second).history).findings).toEqual([]);
  });

  test('two publishers of a key have an order each', () => {
    const built = script()
      .publish('a1', { key: 'k', bus: 'a' })
      .publish('b1', { key: 'k', bus: 'b' })
      .publish('a2', { key: 'k', bus: 'a' });
    for (const id of ['a1', 'a2', 'b1']) built.deliver({ id, key: 'k' });
    expect(reordered()(built.history).findings).toEqual([]);
  });

  test('after a kill the new owner starts again at the first unsettled', () => {
    const built = published('1', '2', '3').deliver({ id: '1', key: 'k' });
    built.start({ id: '2', key: 'k' });
    built
      .killed()
      .deliver({ id: '1', key: 'k', consumer: 'c2' })
      .deliver({ id: '2', key: 'k', consumer: 'c2' })
      .deliver({ id: '3', key: 'k', consumer: 'c2' });
    expect(reordered()(built.history).findings).toEqual([]);
  });
});

describe('overlapped', () => {
  test('finds two handlers of one key at once, across processes', () => {
    const built = script();
    const first = built.start({ id: '1', key: 'k', process: 'p1', consumer: 'p1' });
    built.start({ id: '2', key: 'k', process: 'p2', consumer: 'p2' });
    const { findings, examined } = overlapped()(built.end(first, 'returned', 'p1').history);
    expect(findings).toMatchObject([{ kind: 'overlapped', allowed: false, id: '2' }]);
    expect(examined).toBe(2);
  });

  test('other keys, other groups, one after the other: none', () => {
    const built = script().deliver({ id: '1', key: 'k' }).deliver({ id: '2', key: 'k' });
    built.start({ id: '3', key: 'a' });
    built.start({ id: '4', key: 'b' });
    built.start({ id: '3', key: 'a', group: 'h' });
    expect(overlapped()(built.history).findings).toEqual([]);
  });

  test('without a key: one delivery in two handlers', () => {
    const built = script();
    built.start({ id: '1' });
    built.start({ id: '2' });
    expect(overlapped()(built.history).findings).toEqual([]);
    built.start({ id: '1', consumer: 'c2' });
    expect(overlapped()(built.history).findings).toHaveLength(1);
  });

  test('a killed consumer’s handler has ended', () => {
    const built = script();
    built.start({ id: '1', key: 'k' });
    built.killed().deliver({ id: '1', key: 'k', consumer: 'c2' });
    expect(overlapped()(built.history).findings).toEqual([]);
  });

  test('forced hand-over: one old handler, for the declared time', () => {
    const built = script();
    const old = built.start({ id: '1', key: 'k' });
    const now = built.start({ id: '1', key: 'k', consumer: 'c2' });
    const { history } = built.at(100).end(old).end(now);
    expect(overlapped({ forced: 200 })(history).findings).toMatchObject([{ allowed: true }]);
    expect(overlapped({ forced: 50 })(history).findings).toMatchObject([{ allowed: false }]);
    expect(overlapped({ forced: null })(history).findings).toMatchObject([{ allowed: true }]);
  });

  test('within one consumer a hand-over excuses nothing', () => {
    const built = script();
    built.start({ id: '1', key: 'k' });
    built.start({ id: '2', key: 'k' });
    expect(overlapped({ forced: null })(built.history).findings).toMatchObject([{ allowed: false }]);
  });

  test('the messages of one batch are one handler', () => {
    const built = script();
    built.start({ id: '1', key: 'k', batch: 1 });
    built.start({ id: '2', key: 'k', batch: 1 });
    expect(overlapped()(built.history).findings).toEqual([]);
    built.start({ id: '3', key: 'k', batch: 2 });
    expect(overlapped()(built.history).findings).toHaveLength(2);
  });
});
