import { describe, expect, test } from 'vitest';
import { lost } from '../../src/checkers/index.ts';
import { script } from './build.ts';

describe('lost', () => {
  test('finds nothing when every group got all', () => {
    const { history } = script()
      .ready('a')
      .ready('b')
      .publish('1')
      .deliver({ id: '1', group: 'a' })
      .deliver({ id: '1', group: 'b' });
    expect(lost()(history)).toMatchObject({ findings: [], examined: 2 });
  });

  test('finds what one group lacks after a complete drain, and where in the sequence', () => {
    const built = script().ready('a').ready('b');
    for (const id of ['1', '2', '3', '4', '5']) built.publish(id).deliver({ id, group: 'a' });
    for (const id of ['2', '4']) built.deliver({ id, group: 'b' });
    const { findings, figures } = lost()(built.drained('a').drained('b').history);
    expect(findings.map((one) => [one.kind, one.allowed, one.group, one.id])).toEqual([
      ['lost', false, 'b', '1'],
      ['lost', false, 'b', '3'],
      ['lost', false, 'b', '5'],
    ]);
    expect(figures).toEqual({ lost: 3, beginning: 1, middle: 1, end: 1 });
  });

  test.each([
    ['was never drained', script().ready().publish('1').publish('2').deliver({ id: '2' })],
    ['had a drain that crashed', script().ready().publish('1').publish('2').deliver({ id: '2' }).drained('g', false)],
  ])('says nothing about a group that %s', (_, built) => {
    const result = lost()(built.history);
    expect(result.findings).toEqual([]);
    expect(result.inconclusive).toContain('1 of 2');
  });

  test('counts only what was published after the group was there, and after the declared window', () => {
    const built = script().publish('before').ready().publish('inside').at(200).publish('after').drained();
    expect(lost()(built.history).findings.map((one) => one.id)).toEqual(['inside', 'after']);
    expect(lost({ window: 100 })(built.history).findings.map((one) => one.id)).toEqual(['after']);
    expect(lost({ since: 'all' })(built.history).findings.map((one) => one.id)).toEqual(['before', 'inside', 'after']);
  });

  test('ignores what was not confirmed', () => {
    const built = script()
      .ready()
      .publish('1', { outcome: 'rejected' })
      .publish('2', { outcome: 'unknown' })
      .publish('3', { outcome: 'open' });
    expect(lost()(built.drained().history)).toMatchObject({ findings: [], examined: 0 });
  });

  test('with `handled`, a run that threw or was killed is not enough', () => {
    const built = script().ready().publish('1').publish('2').deliver({ id: '1', outcome: 'threw' });
    built.start({ id: '2' });
    const { history } = built.killed().drained();
    expect(lost()(history).findings).toEqual([]);
    expect(lost({ handled: true })(history).findings).toHaveLength(2);
  });

  test('another topic’s delivery of the same id does not count', () => {
    const { history } = script().ready().publish('1').deliver({ id: '1', topic: 'emails' }).drained();
    expect(lost()(history).findings).toHaveLength(1);
  });

  test('leaves out sentinels, other topics and excepted ones', () => {
    const built = script()
      .ready()
      .ready('g', 'emails')
      .publish('s', { sentinel: true })
      .publish('1')
      .publish('2', { topic: 'emails' });
    const result = lost({ topic: 'orders', except: (publish) => publish.id === '1' })(built.drained().history);
    expect(result).toMatchObject({ findings: [], examined: 0 });
  });
});
