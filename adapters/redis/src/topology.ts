import { type Destination, type ProvisionSpec, type StartPosition, WaybillError } from '@waybill/core/adapter';
import type { Client } from './connection.ts';
import type { Layout, StreamKeys } from './keys.ts';
import { before } from './positions.ts';
import { run } from './scripts.ts';
import { CREATE, MOVE } from './topic-scripts.ts';

type Created = 'made' | 'there' | 'group' | 'stream';

/** Makes streams and groups, or says what is missing. */
export class Topology {
  readonly #layout: Layout;
  /** Groups that were there once: made again, they start at the beginning, or what came meanwhile would be skipped. */
  readonly #seen = new Set<string>();

  constructor(layout: Layout) {
    this.#layout = layout;
  }

  async provision(client: Client, { topology, destination, retention, groups }: ProvisionSpec): Promise<void> {
    const create = topology === 'create';
    const streams = this.#layout.streams(destination);
    await this.count(client, destination, create);
    if (topology === 'none') return;
    const one = async (keys: StreamKeys, partition: number): Promise<void> => {
      await this.#create(client, keys, '', '0-0', create);
      if (retention !== null) await keep(client, keys, destination, retention, create);
      for (const { group, address, start, inbox } of groups) {
        const name = address ?? group;
        // What is due belongs before a group that starts at the end.
        if (start === 'latest') await run(client, MOVE, [keys.stream, keys.due], ['']);
        await this.#create(client, keys, name, before(start, partition), create);
        if (inbox !== null) await this.#create(client, this.#layout.stream(inbox, partition), name, '0-0', create);
      }
    };
    await Promise.all(streams.map(one));
  }

  /** @throws WaybillError `not-found` where the stream, or this group of it ('' for none), is missing. */
  async check(client: Client, destination: Destination, group: string): Promise<void> {
    await this.count(client, destination, false);
    await Promise.all(this.#layout.streams(destination).map((keys) => this.#create(client, keys, group, '0-0', false)));
  }

  /**
   * Records the number of partitions, or compares it with the recorded one: with another, a key would have two homes (O7).
   *
   * @throws WaybillError `invalid`
   */
  async count(client: Client, destination: Destination, make: boolean): Promise<void> {
    const { partitions, name, kind } = destination;
    if (partitions === null || kind === 'dead-letter') return;
    const key = this.#layout.partitions(destination);
    if (make) await client.set(key, partitions, 'NX');
    const recorded = await client.get(key);
    if (recorded === null || recorded === String(partitions)) return;
    throw new WaybillError(
      'invalid',
      `redis: '${name}' has ${recorded.slice(0, 20)} partitions, and ${partitions} are configured; a key would have two homes`,
    );
  }

  async #create(client: Client, { stream }: StreamKeys, group: string, id: string, make: boolean): Promise<void> {
    const name = `${stream} ${group}`;
    const from = this.#seen.has(name) ? '0-0' : id;
    const done = String(await run<Buffer>(client, CREATE, [stream], [group, from, make ? '1' : '0'])) as Created;
    if (done === 'stream') throw new WaybillError('not-found', `redis: the stream '${stream}' does not exist`);
    if (done === 'group') throw new WaybillError('not-found', `redis: the stream '${stream}' has no group '${group}'`);
    this.#seen.add(name);
  }
}

/** Records the retention that was asked for, so that every consumer trims alike. It is never altered. */
async function keep(
  client: Client,
  { settings }: StreamKeys,
  { name }: Destination,
  retention: number,
  make: boolean,
): Promise<void> {
  if (make) await client.hsetnx(settings, 'retention', retention);
  const found = await client.hget(settings, 'retention');
  if (found !== String(retention))
    throw new WaybillError(
      'invalid',
      `redis: '${name}' keeps settled messages for ${found ?? 'the default time'} (ms); asked for: ${retention}`,
    );
}

/** Where a replay of one stream begins, as XRANGE takes it. */
export const replayFrom = (start: StartPosition, partition: number): string =>
  start === 'latest' ? '+' : `(${before(start, partition)}`;
