import { setTimeout as sleep } from 'node:timers/promises';
import {
  consume,
  gather,
  idsOf,
  inboxOf,
  message,
  messages,
  never,
  provisioned,
  receiptsOf,
  topic,
} from '@waybill/conformance/requests';
import type { StartPosition } from '@waybill/core/adapter';
import { describe, expect, test } from 'vitest';
import { adapter, raw, streamOf } from './server.ts';

export function topics(): void {
  describe('topic', () => {
    test('provision is idempotent, verify refuses what is missing, retention is not altered', async () => {
      const a = await adapter();
      const destination = topic();
      const spec = (topology: 'create' | 'verify' | 'none', retention: number | null = null) =>
        ({
          topology,
          destination,
          retention,
          groups: [{ group: 'g', address: null, start: 'held', inbox: inboxOf(destination) }],
        }) as const;
      await a.provision(spec('none'), never);
      await expect(a.provision(spec('verify'), never)).rejects.toMatchObject({ code: 'not-found' });
      expect(await raw.exists(streamOf(destination))).toBe(0);
      await a.provision(spec('create', 60_000), never);
      await a.provision(spec('create', 60_000), never);
      await a.provision(spec('verify'), never);
      await expect(a.provision(spec('create', 5_000), never)).rejects.toMatchObject({ code: 'invalid' });
    });

    test('an existing stream and group are used by their address', async () => {
      const a = await adapter();
      const address = `${streamOf(topic())}:legacy`;
      await raw.xgroup('CREATE', address, 'old-group', '0', 'MKSTREAM');
      await raw.xadd(address, '*', 'body', 'first');
      const destination = { ...topic(), address };
      const groups = [{ group: 'g', address: 'old-group', start: 'latest' as const, inbox: inboxOf(destination) }];
      await a.provision({ topology: 'create', destination, retention: null, groups }, never);
      await a.publish(destination, [message({ id: 'second', delay: 50 })], never);
      const s = await consume(a, destination, { groupAddress: 'old-group' });
      const got = await gather(s, 2);
      expect(got.map(({ body }) => Buffer.from(body).toString())).toEqual(['first', 'second']);
      expect((await a.lag?.(destination, 'g', 'old-group'))?.count).toBe(2);
    });

    test('a group starts where it is told', async () => {
      const a = await adapter();
      const orders = await provisioned(a, topic(), { groups: [] });
      const positions: string[] = [];
      for (const id of ['a', 'b', 'c']) {
        const [outcome] = await a.publish(orders, [message({ id })], never);
        positions.push(JSON.stringify(outcome).match(/\d+-\d+/)?.[0] ?? '');
        await sleep(5);
      }
      const at = positions[1] ?? '';
      const starts: Record<string, [StartPosition, string[]]> = {
        held: ['held', ['a', 'b', 'c', 'd']],
        earliest: ['earliest', ['a', 'b', 'c', 'd']],
        latest: ['latest', ['d']],
        time: [{ time: Number(at.split('-')[0]) }, ['b', 'c', 'd']],
        position: [{ position: { '0': at } }, ['b', 'c', 'd']],
      };
      for (const [group, [start]] of Object.entries(starts)) {
        const groups = [{ group, address: null, start, inbox: inboxOf(orders, group) }];
        await a.provision({ topology: 'create', destination: orders, retention: null, groups }, never);
        expect((await a.lag?.(orders, group, null))?.count).toBe((starts[group]?.[1].length ?? 0) - 1);
      }
      await a.publish(orders, [message({ id: 'd' })], never);
      for (const [group, [, expected]] of Object.entries(starts)) {
        const s = await consume(a, orders, { group });
        expect(idsOf(await gather(s, expected.length)), group).toEqual(expected);
        expect(await s.receive(10, never), group).toEqual([]);
      }
    });

    test('lag counts what is not settled, wherever it lies, with its age', async () => {
      const a = await adapter();
      const orders = await provisioned(a);
      expect(await a.lag?.(orders, 'g', null)).toEqual({ count: 0, age: null, exact: true });
      await a.publish(orders, messages(10), never);
      await a.publish(inboxOf(orders), [message({ delay: 60_000 }), message()], never);
      await sleep(30);
      const s = await consume(a, orders);
      const got = await gather(s, 11);
      expect(await a.lag?.(orders, 'g', null)).toMatchObject({ count: 12, exact: true });
      expect((await a.lag?.(orders, 'g', null))?.age).toBeGreaterThanOrEqual(30);
      await s.ack(receiptsOf(got));
      expect(await a.lag?.(orders, 'g', null)).toEqual({ count: 1, age: null, exact: true });
      // Unread entries deleted from outside: the server no longer knows, and says so.
      const outcomes = await a.publish(orders, messages(5), never);
      await raw.xdel(streamOf(orders), JSON.stringify(outcomes[2]).match(/\d+-\d+/)?.[0] ?? '');
      expect((await a.lag?.(orders, 'g', null))?.count).toBe(5);
      await expect(a.lag?.(orders, 'nobody', null)).rejects.toMatchObject({ code: 'not-found' });
    });

    test('trimming never removes what some group has not settled', async () => {
      const a = await adapter({ retention: 0 });
      expect(a.supports.deliver.replay.by).toBe('refused');
      const orders = await provisioned(a, topic(), { groups: ['g', 'h'] });
      await a.publish(orders, messages(300), never);
      const fast = await consume(a, orders);
      const slow = await consume(a, orders, { group: 'h' });
      await fast.ack(receiptsOf(await gather(fast, 300)));
      const some = await gather(slow, 100, { max: 50 });
      await slow.ack(receiptsOf(some.filter((_, index) => index !== 40)));
      await expect.poll(() => raw.xlen(streamOf(orders)), { timeout: 20_000 }).toBe(300 - 40);
      await slow.ack([some[40]?.receipt]);
      const rest = await gather(slow, 200);
      expect(new Set(idsOf([...some, ...rest])).size).toBe(300);
      await slow.ack(receiptsOf(rest));
      await expect.poll(() => raw.xlen(streamOf(orders)), { timeout: 4_000 }).toBe(0);
      expect((await a.lag?.(orders, 'h', null))?.count).toBe(0);
    });

    test('settled messages stay for the retention, then go', async () => {
      const a = await adapter();
      const orders = await provisioned(a, topic(), { retention: 2_500 });
      await a.publish(orders, messages(5), never);
      const s = await consume(a, orders);
      await s.ack(receiptsOf(await gather(s, 5)));
      await sleep(1_200);
      expect(await raw.xlen(streamOf(orders))).toBe(5);
      await sleep(1_500);
      await a.publish(orders, messages(1), never);
      await s.ack(receiptsOf(await gather(s, 1)));
      await expect.poll(() => raw.xlen(streamOf(orders)), { timeout: 4_000 }).toBe(1);
    });

    test('replay reads what is stored and ends; browse and oldest take nothing', async () => {
      const a = await adapter();
      const orders = await provisioned(a);
      const outcomes = await a.publish(orders, messages(25), never);
      const s = await consume(a, orders);
      await s.ack(receiptsOf(await gather(s, 25)));
      const position = { '0': JSON.stringify(outcomes[5]).match(/\d+-\d+/)?.[0] ?? '' };
      const replay = await consume(a, orders, { bounded: true, inbox: null, group: 'again', start: { position } });
      await a.publish(orders, messages(3), never);
      const got = await gather(replay, 20, { max: 7 });
      expect(got).toHaveLength(20);
      expect(await replay.ack(receiptsOf(got.slice(1)))).not.toContain('lost');
      await replay.nack?.([got[0]?.receipt], { delay: 0, failed: false, attempt: 0 });
      expect(idsOf(await replay.receive(5, never))).toEqual([got[0]?.id]);
      expect(await replay.receive(5, never)).toEqual([]);
      expect(replay.ended).toBe(true);
      const page = (await a.browse?.(orders, null, 4)) ?? [];
      expect(page).toHaveLength(4);
      expect((await a.browse?.(orders, page[3]?.position ?? null, 100))?.length).toBe(25);
      expect(await a.oldest?.(orders)).toBeNull();
      await raw.xtrim(streamOf(orders), 'MAXLEN', 20);
      const [first] = (await a.browse?.(orders, null, 1)) ?? [];
      expect(await a.oldest?.(orders)).toBe(Number(first?.position?.['0']?.split('-')[0]));
      expect((await a.lag?.(orders, 'g', null))?.count).toBe(3);
    });

    test('reset moves a stopped group and refuses a running one', async () => {
      const a = await adapter();
      const orders = await provisioned(a);
      await a.publish(orders, messages(6), never);
      const s = await consume(a, orders);
      await s.ack(receiptsOf((await gather(s, 6)).slice(0, 3)));
      await expect(a.reset?.(orders, 'g', null, 'earliest')).rejects.toMatchObject({ code: 'invalid' });
      await s.close();
      await a.reset?.(orders, 'g', null, 'earliest');
      expect((await a.lag?.(orders, 'g', null))?.count).toBe(6);
      const again = await consume(a, orders);
      expect(await gather(again, 6)).toHaveLength(6);
      await again.close();
      await a.reset?.(orders, 'g', null, 'latest');
      expect((await a.lag?.(orders, 'g', null))?.count).toBe(0);
    });
  });
}
