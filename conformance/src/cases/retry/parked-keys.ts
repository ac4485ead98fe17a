import { fixed } from '@waybill/core';
import type { Stamped } from '../../case-types.ts';
import type { ConformanceCase } from '../../case.ts';
import { guard, lost, overlapped, reordered } from '../../checkers/index.ts';
import { deadLetters, heard } from './letters.ts';

export const parkedKeys: readonly ConformanceCase[] = [
  {
    id: 'R11.followers-follow',
    guarantees: ['R11', 'R7', 'O2'],
    title:
      'Where a key is parked, messages behind a dead-lettered one follow it, and come back in order when redriven.',
    needs: { 'order.key': true, 'order.parkedKeys': true },
    by: 'order.parkedKeys',
    cost: 'quick',
    run: async (t) => {
      const orders = t.topic('orders', { ordering: 'key' });
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders] });
      const dead = heard(bus, 'dead-lettered');
      let healed = false;
      const options = { group, deadLetter: 'key', retry: { attempts: 2, backoff: fixed(10) } } as const;
      const consumer = await t.consume(bus, orders, options, ({ key, payload }) => {
        if (key === 'k1' && payload.seq === 2 && !healed) throw new Error('refused');
      });
      await t.load(bus, orders, { keys: 3, each: 6 });
      await t.until(() => dead.length >= 5, 'the one that fails and those behind it are dead-lettered');
      await t.until(() => consumer.distinct >= 2 * 6 + 2, 'the other keys go on');
      t.equal(consumer.distinct, 2 * 6 + 2, 'messages that reached the handler: of the parked key only the first two');
      const letters = await deadLetters(t, bus, orders, group);
      const parked = letters.map((one) => (JSON.parse(Buffer.from(one.body).toString()) as Stamped).seq);
      t.equal(parked, [2, 3, 4, 5, 6], 'dead letters, in order');
      healed = true;
      t.equal(await bus.dlq(orders, group).redrive({ all: true }), { redriven: 5 }, 'redriven');
      await t.until(() => consumer.distinct >= 18, 'all are handled in the end');
      await t.sentinel(bus, orders, [consumer]);
      return t.judge(reordered({ hold: false }), overlapped(), lost({ handled: true }), guard({ confirmed: 18 }));
    },
    refused: async (t, path) => {
      const ordered = t.supports.order.key.by !== 'refused';
      const bus = await t.connect();
      for (const ordering of ordered ? (['key', 'none'] as const) : (['none'] as const)) {
        const orders = t.topic('orders', { ordering });
        const group = t.group('inventory');
        const ask = (): Promise<unknown> => t.consume(bus, orders, { group, deadLetter: 'key' });
        const error = await t.expectError(ask, 'unsupported');
        t.ok(
          error.message.includes(path) || path !== 'order.parkedKeys',
          `the refusal names ${path}: '${error.message}'`,
        );
        t.ok(error.message.includes('order.parkedKeys'), `the refusal names order.parkedKeys: '${error.message}'`);
        t.equal(t.history.of('group.ready').filter((one) => one.group === group).length, 0, 'groups made');
      }
      t.equal(t.history.of('send').length, 0, 'sends to the broker after a refusal');
    },
  },
  {
    id: 'R11.unordered-is-refused',
    guarantees: ['R11'],
    title: 'A topic without order has no keys to park, so asking for it is refused on every broker.',
    cost: 'quick',
    run: async (t) => {
      const bus = await t.connect();
      for (const ordering of ['none', 'spread'] as const) {
        const orders = t.topic('orders', { ordering });
        const options = { group: t.group('inventory'), deadLetter: 'key' } as const;
        const error = await t.expectError(() => t.consume(bus, orders, options), 'unsupported');
        for (const word of ['order.parkedKeys', 'deadLetter: true'])
          t.ok(error.message.includes(word), `the refusal names ${word}: '${error.message}'`);
      }
      t.equal(t.history.of('send', 'group.ready').length, 0, 'sends and groups after a refusal');
    },
  },
];
