import { never, run } from '@waybill/conformance/requests';
import type { Adapter, Destination } from '@waybill/core/adapter';
import { type BrokerProxy, describeNotRun, isNotRun, type RedisBroker, startBroker } from '@waybill/testbed';
import { Redis } from 'ioredis';
import { redis, type RedisOptions } from '../src/index.ts';

const answer = await startBroker('redis');

/** The server: the one at WAYBILL_REDIS_URL, or a private one. Or why there is none, and what to do about it. */
export const broker: RedisBroker | null = isNotRun(answer) ? null : answer;
export const missing: string = isNotRun(answer) ? describeNotRun(answer) : '';
export const url: string = broker?.url ?? 'redis://127.0.0.1:1';

/** Every key of this run begins with this, and nothing else is ever touched. */
export const keyPrefix: string = run;

/** A client of our own, to look at the server beside the adapter. */
export const raw: Redis = new Redis(url, { lazyConnect: true, retryStrategy: null });
raw.on('error', () => undefined);

const open: Adapter[] = [];

export async function adapter(options: RedisOptions = {}): Promise<Adapter> {
  const made = redis({ url, keyPrefix, ...options });
  open.push(made);
  await made.connect(never);
  return made;
}

export async function cleanUp(): Promise<void> {
  await Promise.all(open.splice(0).map((one) => one.close()));
  const pattern = `${keyPrefix}*`;
  for await (const keys of raw.scanStream({ match: pattern, count: 1_000 }))
    if (keys.length > 0) await raw.unlink(...keys);
  raw.disconnect();
  await broker?.[Symbol.asyncDispose]();
}

export const streamOf = ({ name }: Destination): string => `${keyPrefix}{${name}}:stream`;

/** A TCP proxy before the server, to be cut or to fall silent. */
export async function proxy(): Promise<BrokerProxy> {
  if (broker === null) throw new Error(missing);
  return broker.proxy();
}
