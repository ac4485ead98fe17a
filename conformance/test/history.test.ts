import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { HistoryEvent } from '../src/event.ts';
import { History } from '../src/history.ts';
import { HistoryWriter, parseHistory, readHistories } from '../src/history-file.ts';
import { Recorder } from '../src/recorder.ts';
import { script } from './checkers/build.ts';

const folder = mkdtempSync(join(tmpdir(), 'waybill-history-test-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('files', () => {
  test('start events are in the file before the effect, the others soon', async () => {
    const path = join(folder, 'a.jsonl');
    const recorder = new Recorder('p1', new HistoryWriter(path));
    recorder.record({ type: 'note', text: 'first' });
    expect(readFileSync(path, 'utf8')).toBe('');
    recorder.record({ type: 'fault.start', fault: 'cut', detail: '' });
    expect(parseHistory(readFileSync(path, 'utf8')).map((event) => event.type)).toEqual(['note', 'fault.start']);
    recorder.record({ type: 'note', text: 'last' });
    await new Promise((resolve) => setImmediate(resolve));
    expect(readHistories([path])).toEqual(recorder.history.events);
    recorder.stop();
  });

  test('one writer per file', () => {
    const path = join(folder, 'b.jsonl');
    const writer = new HistoryWriter(path);
    expect(() => new HistoryWriter(path)).toThrow('EEXIST');
    writer.close();
  });

  test('a last line that a kill cut short is left out; any other bad line is an error', () => {
    const line = JSON.stringify({ n: 1, process: 'p', at: 1, wall: 1, type: 'note', text: 'ä' });
    expect(parseHistory(`${line}\n${line.slice(0, 20)}`)).toHaveLength(1);
    expect(() => parseHistory(`${line.slice(0, 20)}\n${line}\n`, 'x.jsonl')).toThrow('x.jsonl, line 1');
  });

  test('several processes are merged by wall time, each in its own order', () => {
    writeFileSync(
      join(folder, 'p1'),
      [of('p1', 1, 10), of('p1', 2, 30)].map((event) => `${JSON.stringify(event)}\n`).join(''),
    );
    writeFileSync(
      join(folder, 'p2'),
      [of('p2', 1, 20), of('p2', 2, 30)].map((event) => `${JSON.stringify(event)}\n`).join(''),
    );
    const merged = new History(readHistories([join(folder, 'p1'), join(folder, 'p2')]));
    expect(merged.of('note').map((event) => event.text)).toEqual(['p11', 'p21', 'p12', 'p22']);
  });
});

describe('views', () => {
  test('join publishes with their outcomes, and follow what is appended', () => {
    const built = script().publish('1').publish('2', { outcome: 'open' });
    const { history } = built;
    expect(history.publishes.map((one) => [one.id, one.outcome])).toEqual([
      ['1', 'confirmed'],
      ['2', 'open'],
    ]);
    history.append({
      n: 99,
      process: 'suite',
      at: 2_000,
      wall: 2_000,
      type: 'publish.unknown',
      op: '2',
      id: '2',
      code: 'timeout',
      position: null,
    });
    expect(history.publishes[1]).toMatchObject({ outcome: 'unknown', code: 'timeout', endWall: 2_000 });
  });

  test('the numbers of two processes do not mix', () => {
    const built = script();
    const first = built.start({ id: '1', process: 'p1' });
    built.end(first, 'threw', 'p2').end(first, 'returned', 'p1');
    expect(built.history.deliveries).toMatchObject([{ id: '1', outcome: 'returned' }]);
  });

  test('a kill marks the runs that were open', () => {
    const built = script().deliver({ id: '1' });
    built.start({ id: '2' });
    built.start({ id: '3', consumer: 'c2' });
    const { deliveries } = built.killed('c1').history;
    expect(deliveries.map((one) => one.killedWall !== null)).toEqual([false, true, false]);
  });
});

function of(process: string, n: number, wall: number): HistoryEvent {
  return { n, process, at: wall, wall, type: 'note', text: `${process}${n}` };
}
