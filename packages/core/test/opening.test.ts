import { memory } from '@waybill/memory';
import { expect, test } from 'vitest';
import { WaybillError } from '../src/errors.ts';
import { connect, topic } from '../src/index.ts';

test('a subscription that the broker refuses is refused, though it was out of reach at first', async () => {
  const adapter = memory();
  const answers = [new WaybillError('unavailable', 'not yet'), new WaybillError('denied', 'you may not read')];
  const subscribe = adapter.subscribe.bind(adapter);
  Object.assign(adapter, {
    subscribe: (...call: Parameters<typeof subscribe>) => {
      const answer = answers.shift();
      return answer === undefined ? subscribe(...call) : Promise.reject(answer);
    },
  });
  const orders = topic('orders');
  await using bus = await connect({ brokers: { main: adapter } }, { topics: [orders] });
  await expect(bus.subscribe(orders, { group: 'g' }, () => undefined)).rejects.toMatchObject({ code: 'denied' });
  expect(answers).toEqual([]);
});
