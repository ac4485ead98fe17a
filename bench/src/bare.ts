import { type Destination, type OutgoingMessage } from '@waybill/core/adapter';
import { memory } from '@waybill/memory';
import { BYTES, Order, ORDER } from './payloads.ts';

const destination: Destination = {
  kind: 'topic',
  name: 'bench',
  topic: 'bench',
  group: null,
  partitions: null,
  ordered: false,
  address: null,
};

/** The same work straight on the adapter: batches of 512 out, 256 in, acked; µs per message. What is left is core's. */
export async function bareAdapter(messages: number): Promise<number> {
  const adapter = memory();
  const signal = new AbortController().signal;
  await adapter.connect(signal);
  const inbox: Destination = { ...destination, kind: 'inbox', name: 'bench__g__retry', group: 'g' };
  const groups = [{ group: 'g', address: null, start: 'held' as const, inbox }];
  await adapter.provision({ topology: 'create', destination, retention: null, groups }, signal);
  const subscription = await adapter.subscribe(
    {
      destination,
      group: 'g',
      groupAddress: null,
      inbox,
      consumer: 'bench',
      prefetch: 1_024,
      lease: 30_000,
      start: 'held',
      bounded: false,
      filter: null,
      transactional: false,
      onRevoked: () => Promise.resolve(),
      onLost: () => undefined,
      onAssigned: () => undefined,
    },
    signal,
  );
  const begin = performance.now();
  let taken = 0;
  for (let sent = 0; sent < messages;) {
    const batch: OutgoingMessage[] = [];
    for (let index = 0; index < 512 && sent < messages; index++) batch.push(message(String(sent++)));
    await adapter.publish(destination, batch, signal);
    while (taken < sent) {
      const deliveries = await subscription.receive(256, signal);
      taken += deliveries.length;
      await subscription.ack(deliveries.map(({ receipt }) => receipt));
    }
  }
  const elapsed = performance.now() - begin;
  await subscription.close();
  await adapter.close();
  return (elapsed * 1_000) / messages;
}

/** The codec work alone: validate, stringify, encode, decode, parse, validate; µs per message. */
export function bareCodec(messages: number): number {
  const { validate } = Order['~standard'];
  const begin = performance.now();
  let kept: unknown;
  for (let index = 0; index < messages; index++) {
    kept = validate(ORDER);
    const body = Buffer.from(JSON.stringify(ORDER));
    kept = validate(JSON.parse(body.toString()));
  }
  if (kept === undefined) throw new Error('the optimiser must not remove the loop');
  return ((performance.now() - begin) * 1_000) / messages;
}

function message(id: string): OutgoingMessage {
  return {
    id,
    sendId: id,
    time: 0,
    key: null,
    type: null,
    source: null,
    contentType: null,
    headers: {},
    control: null,
    body: BYTES,
    partition: null,
    delay: 0,
  };
}
