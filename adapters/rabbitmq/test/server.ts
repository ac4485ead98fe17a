import { never } from '@waybill/conformance/requests';
import type { Adapter } from '@waybill/core/adapter';
import { describeNotRun, isNotRun, type RabbitmqBroker, startBroker } from '@waybill/testbed';
import { type Channel, type ChannelModel, connect } from 'amqplib';
import { rabbitmq, type RabbitOptions } from '../src/index.ts';

const answer = await startBroker('rabbitmq');

/** The server: the one at WAYBILL_RABBITMQ_URL, or a private one. Or why there is none, and what to do about it. */
export const broker: RabbitmqBroker | null = isNotRun(answer) ? null : answer;
export const missing: string = isNotRun(answer) ? describeNotRun(answer) : '';
export const url: string = broker?.url ?? 'amqp://127.0.0.1:1';

const open: Adapter[] = [];
let model: ChannelModel | null = null;

/** A channel of our own, to look at the server beside the adapter. */
export async function raw(): Promise<Channel> {
  model ??= await connect(url);
  model.on('error', () => undefined);
  const channel = await model.createChannel();
  return channel.on('error', () => undefined);
}

export async function adapter(options: RabbitOptions = {}): Promise<Adapter> {
  const made = rabbitmq({ url, heartbeat: '2s', ...options });
  open.push(made);
  await made.connect(never);
  return made;
}

export async function cleanUp(): Promise<void> {
  await Promise.all(open.splice(0).map((one) => one.close()));
  await model?.close();
  await broker?.[Symbol.asyncDispose]();
}
