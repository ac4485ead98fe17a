import { connect, type SubscribeOptions, topic, type WaybillConfig } from '@waybill/core';
import type { AdapterConfig, AdapterModule } from '@waybill/core/adapter';
import type { ConsumerScript, Stamped } from './case-types.ts';
import { Connection } from './connection.ts';
import { RecordedConsumer } from './consumer.ts';
import { HistoryWriter } from './history-file.ts';
import { recordAdapter } from './recorded-adapter.ts';
import { Recorder } from './recorder.ts';
import { scripted } from './script.ts';

/** What the parent tells this program over its channel, since it may hold credentials. JSON-safe. */
export interface ConsumerOrders {
  readonly name: string;
  readonly history: string;
  readonly module: string;
  readonly adapter: AdapterConfig;
  readonly config: Partial<Omit<WaybillConfig, 'brokers'>>;
  readonly topic: { readonly name: string; readonly keyed: boolean; readonly ordered: boolean };
  readonly options: SubscribeOptions;
  readonly script: ConsumerScript;
}

/** A consumer in a process of its own: `t.spawn` starts it. Its history is in its own file. */
async function main(orders: ConsumerOrders): Promise<void> {
  const recorder = new Recorder(orders.name, new HistoryWriter(orders.history));
  const connection = new Connection(orders.name, recorder);
  const module = (await import(orders.module)) as AdapterModule;
  const adapter = recordAdapter(module.createAdapter(orders.adapter), connection);
  const { name, keyed, ordered } = orders.topic;
  const key = keyed ? { key: (payload: Stamped): string => payload.key ?? '' } : {};
  const stamped = topic<Stamped>(name, { ...key, ...(ordered ? {} : { ordering: 'none' }) });
  connection.consumers.set(`${name}/${orders.options.group}`, orders.name);
  const consumer = new RecordedConsumer(orders.name, name, orders.options.group, connection, new Map());
  const bus = await connect({ ...orders.config, brokers: { main: adapter } });
  const drain = async (): Promise<void> => {
    await bus.close();
    recorder.record({ type: 'closed', consumer: orders.name });
    recorder.stop();
    process.disconnect();
  };
  process.once('SIGTERM', () => void drain());
  const handler = scripted(orders.script, (how) => {
    if (how === 'kill') process.kill(process.pid, 'SIGKILL');
    else process.exit(1);
  });
  consumer.attach(await bus.subscribe(stamped, orders.options, consumer.handler(stamped, handler)));
  recorder.record({ type: 'group.ready', topic: name, group: orders.options.group });
  process.send?.('ready');
}

process.once('message', (orders: ConsumerOrders) => {
  main(orders).catch((error: unknown) => {
    process.send?.(String(error));
    process.exit(1);
  });
});
