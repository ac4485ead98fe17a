import { describe, expect, test } from 'vitest';
import { phantom, recovered, unexpected } from '../../src/checkers/index.ts';
import { script } from './build.ts';

describe('phantom', () => {
  test.each(['rejected', 'dropped'] as const)('finds a %s publish that was delivered', (outcome) => {
    const { history } = script().publish('1', { outcome }).publish('2', { outcome }).deliver({ id: '1' });
    const { findings, examined } = phantom()(history);
    expect(findings).toMatchObject([{ kind: 'phantom', allowed: false, id: '1' }]);
    expect(examined).toBe(2);
  });

  test('an unknown or open one may arrive', () => {
    const { history } = script()
      .publish('1', { outcome: 'unknown' })
      .publish('2', { outcome: 'open' })
      .deliver({ id: '1' })
      .deliver({ id: '2' });
    expect(phantom()(history)).toMatchObject({ findings: [], examined: 0 });
  });

  test('one rejected and then published again under its id may arrive', () => {
    const { history } = script().publish('1', { outcome: 'rejected' }).publish('1').deliver({ id: '1' });
    expect(phantom()(history).findings).toEqual([]);
  });
});

describe('recovered', () => {
  test('reports unknown publishes that arrived, and allows them', () => {
    const { history } = script()
      .publish('1', { outcome: 'unknown' })
      .publish('2', { outcome: 'unknown' })
      .deliver({ id: '1' });
    const { findings, figures } = recovered()(history);
    expect(findings).toMatchObject([{ kind: 'recovered', allowed: true, id: '1' }]);
    expect(figures).toEqual({ unknown: 2, recovered: 1 });
  });
});

describe('unexpected', () => {
  test('finds what nobody published, and what was published elsewhere', () => {
    const { history } = script()
      .publish('1')
      .publish('2', { topic: 'emails' })
      .deliver({ id: '1' })
      .deliver({ id: '2' })
      .deliver({ id: '3' });
    const { findings, examined } = unexpected()(history);
    expect(findings.map((one) => one.id)).toEqual(['2', '3']);
    expect(findings[0]?.text).toContain('was published to emails');
    expect(examined).toBe(3);
  });

  test('finds what is not meant for a group', () => {
    const { history } = script().publish('1').deliver({ id: '1', group: 'a' }).deliver({ id: '1', group: 'b' });
    const { findings } = unexpected({ expected: (_, group) => group === 'a' })(history);
    expect(findings).toMatchObject([{ id: '1', group: 'b' }]);
  });

  test('ignores and counts another run’s messages, and knows what the spy has put there', () => {
    const { history } = script()
      .deliver({ id: '1', run: 'other' })
      .deliver({ id: '2', run: 'mine' })
      .deliver({ id: 'spy' });
    const { findings, figures, examined } = unexpected({ run: 'mine', known: (one) => one.id === 'spy' })(history);
    expect(findings.map((one) => one.id)).toEqual(['2']);
    expect(figures).toEqual({ foreign: 1 });
    expect(examined).toBe(2);
  });

  test('an offered message is known by its body, since nobody learns its id', () => {
    const built = script().publish('', { outcome: 'unknown', body: 'x' });
    expect(unexpected()(built.deliver({ id: '7', body: 'x' }).history).findings).toEqual([]);
    expect(unexpected()(built.deliver({ id: '8', body: 'y' }).history).findings).toHaveLength(1);
  });
});
