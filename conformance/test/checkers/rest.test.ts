import { describe, expect, test } from 'vitest';
import { content, gapCommitted, guard, pending, positions } from '../../src/checkers/index.ts';
import { comparePositions } from '../../src/checkers/positions.ts';
import { judge } from '../../src/finding.ts';
import { type Script, script } from './build.ts';

describe('gapCommitted', () => {
  test('finds an unsettled one below a settled one that never comes again', () => {
    expect(gapCommitted()(crashed().history)).toMatchObject({
      findings: [{ kind: 'gap-committed', id: '1' }],
      examined: 1,
    });
  });

  test('is content when it comes again', () => {
    const built = crashed();
    built.arrive('1', { attachment: 2, consumer: 'c2' });
    expect(gapCommitted()(built.history)).toMatchObject({ findings: [], examined: 1 });
  });

  test('another partition has its own watermark; nothing above is no gap', () => {
    const built = script();
    built.arrive('1', { partition: 1 });
    const top = built.arrive('2');
    built.deliver({ id: '2' }).settle(top, 'ok', true);
    built.arrive('3');
    expect(gapCommitted()(built.killed().history)).toMatchObject({ findings: [], examined: 0 });
  });
});

describe('content', () => {
  test('finds another body, key and time', () => {
    const built = script().publish('1', { key: 'k' }).publish('2', { key: 'k' }).publish('3');
    built.deliver({ id: '1', key: 'k', body: 'other' }).deliver({ id: '2', key: 'l' }).deliver({ id: '3' });
    const { findings, examined } = content()(built.history);
    expect(findings.map((one) => [one.id, /another (.*)$/.exec(one.text)?.[1]])).toEqual([
      ['1', 'body'],
      ['2', 'key (k became l)'],
    ]);
    expect(examined).toBe(3);
  });
});

describe('pending', () => {
  test('finds publishes and promises without an end', () => {
    const built = script().publish('1').publish('2', { outcome: 'open' });
    built.add({ type: 'promise.start', op: 'a', what: 'close' }).add({ type: 'promise.start', op: 'b', what: 'drain' });
    built.add({ type: 'promise.end', op: 'a', what: 'close' });
    const { findings, examined } = pending()(built.history);
    expect(findings.map((one) => one.text)).toEqual([expect.stringContaining('2'), 'drain was never settled']);
    expect(examined).toBe(4);
  });
});

describe('positions', () => {
  test('accepts holes, and one place per message', () => {
    const built = script()
      .publish('1', { key: 'k', position: { 0: '1' } })
      .publish('2', { key: 'k', position: { 0: '9' } });
    built.arrive('1', { position: '1' });
    built.arrive('2', { position: '9' });
    expect(positions()(built.history)).toMatchObject({ findings: [], examined: 4 });
  });

  test('finds two messages at one position, one at two, and a key that goes back', () => {
    const two = script()
      .publish('1', { position: { 0: '5' } })
      .publish('2', { position: { 0: '5' } });
    expect(positions()(two.history).findings).toHaveLength(1);
    const one = script().publish('1', { position: { 0: '5' } });
    one.arrive('1', { position: '6' });
    expect(positions()(one.history).findings).toHaveLength(1);
    expect(positions()(one.send('1').send('1').history).findings).toEqual([]);
    const back = script()
      .publish('1', { key: 'k', position: { 0: '10' } })
      .publish('2', { key: 'k', position: { 0: '9' } });
    expect(positions()(back.history).findings).toHaveLength(1);
  });

  test.each([
    ['9', '10', -1],
    ['10', '10', 0],
    ['1712-3', '1712-20', -1],
    ['99999999999999999999', '99999999999999999998', 1],
  ])('%s and %s', (a, b, sign) => {
    expect(Math.sign(comparePositions(a, b))).toBe(sign);
  });
});

describe('guard', () => {
  test('says what was too little', () => {
    const { history } = script().publish('1').deliver({ id: '1' });
    expect(guard({ confirmed: 1, returned: 1 })(history).inconclusive).toBeUndefined();
    expect(guard({ confirmed: 2, threw: 1 })(history).inconclusive).toBe('1 confirmed, wanted 2; 0 threw, wanted 1');
  });

  test('wants something in flight when a fault began', () => {
    expect(guard({ busyAtFault: true })(script().publish('1').fault().history).inconclusive).toContain('in flight');
    const busy = script();
    busy.start({ id: '1' });
    expect(guard({ busyAtFault: true, faults: 1 })(busy.fault().history).inconclusive).toBeUndefined();
  });
});

describe('judge', () => {
  test('a checker that examined nothing makes it inconclusive, and so does none', () => {
    expect(judge(script().history, [content()]).inconclusive).toEqual(['content examined nothing']);
    expect(judge(script().history, []).inconclusive).toEqual(['no checker was asked']);
  });
});

/** 1 unsettled, 2 done, committed up to 2; then the consumer dies. */
function crashed(): Script {
  const built = script();
  built.arrive('1');
  const top = built.arrive('2');
  built.deliver({ id: '2' });
  return built.settle(top, 'ok', true).killed();
}
