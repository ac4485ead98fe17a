import { expect, test } from 'vitest';
import {
  describeNotRun,
  isNotRun,
  isRequired,
  type RedisBroker,
  type RedisStart,
  startBroker,
  TestbedError,
} from '../src/index.ts';

/** A Redis of this test file's own, in a process. */
export async function ownRedis(options: Omit<RedisStart, 'from'> = {}): Promise<RedisBroker> {
  const answer = await startBroker('redis', { ...options, from: 'process' });
  if (isNotRun(answer)) throw new TestbedError(describeNotRun(answer));
  return answer;
}

/**
 * Calls `define` where a redis-server can be started. Elsewhere there is one test instead: skipped with the reason, or
 * failing where WAYBILL_REQUIRE wants Redis.
 */
export async function withRedis(define: () => void): Promise<void> {
  const answer = await startBroker('redis', { from: 'process' });
  if (!isNotRun(answer)) {
    await answer[Symbol.asyncDispose]();
    define();
    return;
  }
  const text = describeNotRun(answer);
  if (isRequired('redis')) {
    test('a redis-server, as WAYBILL_REQUIRE wants', () => {
      throw new Error(text);
    });
  } else test.skip(`not-run: ${text}`, () => undefined);
}

/** Whether a process is there: a zombie is not. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** The process behind a Redis, as it says itself. */
export async function pidOf(broker: RedisBroker): Promise<number> {
  const info = String(await broker.command('INFO', 'server'));
  const pid = Number(/^process_id:(\d+)/m.exec(info)?.[1]);
  expect(pid).toBeGreaterThan(0);
  return pid;
}
