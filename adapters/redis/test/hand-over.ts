import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Bus, connect } from '@waybill/core';
import { afterEach, describe, expect, test } from 'vitest';
import { type Event, type Orders, results, steps } from './consumer-process.ts';
import { keyPrefix, url } from './server.ts';

const program = fileURLToPath(new URL('./consumer-process.ts', import.meta.url));
const keys = 60;
const living = new Set<ChildProcess>();
let rounds = 0;

class Consumers {
  readonly events: Event[] = [];
  readonly #prefix = `${keyPrefix}${++rounds}:`;
  #bus: Bus | null = null;

  get bus(): Promise<Bus> {
    return this.#open();
  }

  async start(name: string, more: Partial<Orders> = {}): Promise<ChildProcess> {
    const orders: Orders = { url, keyPrefix: this.#prefix, name, lease: 1_500, work: 3, slow: 3, ...more };
    const child = spawn(
      process.execPath,
      ['--conditions=waybill-source', '--import', 'tsx', program, JSON.stringify(orders)],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    living.add(child);
    child.once('exit', () => living.delete(child));
    const lines = createInterface(child.stdout);
    await new Promise<void>((resolve) => {
      lines.on('line', (line) => {
        const event = JSON.parse(line) as Event;
        if (event.what === 'ready') resolve();
        this.events.push(event);
      });
    });
    return child;
  }

  /** Numbers from 1 on, for every key, and waits until all are stored. */
  async publish(each: number, from = 1, gap = 0): Promise<void> {
    const bus = await this.bus;
    for (let seq = from; seq < from + each; seq++) {
      await bus.publishMany(
        steps,
        Array.from({ length: keys }, (_, key) => ({ key: `k${key}`, seq })),
      );
      if (gap > 0) await sleep(gap);
    }
  }

  of(what: Event['what'], name?: string): Event[] {
    return this.events.filter((one) => one.what === what && (name === undefined || one.name === name));
  }

  get handled(): number {
    return new Set(
      this.of('end')
        .filter(({ aborted }) => !aborted)
        .map(({ key, seq }) => `${key} ${seq}`),
    ).size;
  }

  /** Every key in order, by what its handlers were given first, whoever ran them. */
  judge(each: number): { starts: number; repeated: number } {
    const starts = this.of('start').toSorted((a, b) => a.at - b.at);
    const next = new Map<string, number>();
    for (const { key, seq } of starts) {
      const due = next.get(key) ?? 1;
      expect(seq, `${key} ${seq} before ${key} ${due}`).toBeLessThanOrEqual(due);
      if (seq === due) next.set(key, due + 1);
    }
    expect([...next.values()]).toEqual(Array.from({ length: keys }, () => each + 1));
    return { starts: starts.length, repeated: starts.length - each * keys };
  }

  async close(): Promise<void> {
    await this.#bus?.close();
  }

  async #open(): Promise<Bus> {
    return (this.#bus ??= await connect(
      {
        brokers: { main: { url, redis: { keyPrefix: this.#prefix } } },
        topics: { steps: { groups: ['g'] } },
      },
      { topics: [steps, results] },
    ));
  }
}

const end = async (child: ChildProcess, signal: 'SIGKILL' | 'SIGTERM'): Promise<void> => {
  const gone = once(child, 'exit');
  child.kill(signal);
  await gone;
};

export function handOver(): void {
  describe('hand-over', () => {
    afterEach(() => {
      for (const child of living) child.kill('SIGKILL');
    });

    test('kill -9 of a consumer, three times within 10,000 messages: all handled, each key in order', async () => {
      const each = 167;
      const all = new Consumers();
      await all.bus;
      let doomed = await all.start('a0');
      const other = await all.start('b');
      const publishing = all.publish(each);
      let most = 0;
      for (let round = 1; round <= 3; round++) {
        await expect.poll(() => all.handled, { timeout: 60_000 }).toBeGreaterThan(round * 2_000);
        await end(doomed, 'SIGKILL');
        const name = `a${round - 1}`;
        most += all.of('start', name).length - all.of('end', name).length;
        doomed = await all.start(`a${round}`);
      }
      await publishing;
      await expect.poll(() => all.handled, { timeout: 60_000, interval: 100 }).toBe(each * keys);
      const { repeated } = all.judge(each);
      // What ran when it died, and what it had ended and not yet settled: at most the handlers it may run at once, twice.
      expect(most).toBeLessThanOrEqual(3 * 16);
      expect(repeated).toBeLessThanOrEqual(3 * 2 * 16);
      expect(all.of('end').every(({ attempt }) => attempt === 1)).toBe(true);
      await Promise.all([end(doomed, 'SIGTERM'), end(other, 'SIGTERM')]);
      await all.close();
      console.info(`killed three times: ${each * keys} handled, ${repeated} repeated, ${most} running at death`);
    });

    test('a consumer that is stopped beyond its lease and woken up changes nothing any more', async () => {
      const each = 20;
      const all = new Consumers();
      await all.bus;
      const stopped = await all.start('stopped', { slow: 8_000, lease: 1_000 });
      const other = await all.start('other', { lease: 1_000 });
      await all.publish(each);
      await expect.poll(() => all.of('start', 'stopped').length, { timeout: 30_000 }).toBe(16);
      stopped.kill('SIGSTOP');
      const began = Date.now();
      await expect.poll(() => all.handled, { timeout: 60_000 }).toBe(each * keys);
      const took = Date.now() - began;
      const woken = performance.timeOrigin + performance.now();
      stopped.kill('SIGCONT');
      await expect.poll(() => all.of('lost', 'stopped').length, { timeout: 5_000 }).toBeGreaterThanOrEqual(16);
      await expect.poll(() => all.of('end', 'stopped').length, { timeout: 20_000 }).toBe(16);
      const zombies = all.of('end', 'stopped');
      expect(zombies.every(({ aborted, published }) => aborted && published === 'closed')).toBe(true);
      for (const { key, seq, fence } of zombies) {
        const again = all.of('start', 'other').find((one) => one.key === key && one.seq === seq);
        expect(again?.fence).toBeGreaterThan(fence);
      }
      all.judge(each);
      // It is a member again, works, and settles.
      await all.publish(20, each + 1);
      await expect.poll(() => all.handled, { timeout: 60_000 }).toBe((each + 20) * keys);
      expect(all.of('start', 'stopped').some(({ at, seq }) => at > woken && seq > each)).toBe(true);
      expect(all.judge(each + 20).repeated).toBeLessThanOrEqual(2 * 16);
      await Promise.all([end(stopped, 'SIGTERM'), end(other, 'SIGTERM')]);
      await all.close();
      const late = all.of('start', 'stopped').filter(({ at, seq }) => at >= woken && seq <= each);
      console.info(
        `stopped: ${zombies.length} handlers of a zombie changed nothing, ${late.length} begun after waking; all handled in ${took} ms`,
      );
    });

    test('consumers that join and leave in order repeat nothing', async () => {
      const all = new Consumers();
      await all.bus;
      const one = await all.start('one', { lease: 30_000 });
      let each = 0;
      let stop = false;
      const publishing = (async () => {
        while (!stop) await all.publish(1, ++each, 20);
      })();
      const busy = (name: string): Promise<void> =>
        expect.poll(() => all.of('end', name).length, { timeout: 40_000 }).toBeGreaterThan(200);
      const two = await all.start('two', { lease: 30_000 });
      await busy('two');
      await end(one, 'SIGTERM');
      const three = await all.start('three', { lease: 30_000 });
      await busy('three');
      stop = true;
      await publishing;
      await expect.poll(() => all.handled, { timeout: 30_000 }).toBe(each * keys);
      expect(all.judge(each).repeated).toBe(0);
      await Promise.all([end(two, 'SIGTERM'), end(three, 'SIGTERM')]);
      await all.close();
    });
  });
}
