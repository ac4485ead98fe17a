import { writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, topic } from '@waybill/core';

/*
 * A consumer in a process of its own, to be killed or stopped. It tells what its handlers do on its standard output,
 * synchronously, before they go on.
 */

export interface Orders {
  readonly url: string;
  readonly keyPrefix: string;
  readonly name: string;
  readonly lease: number;
  /** Milliseconds a handler takes. */
  readonly work: number;
  /** Milliseconds it takes for the first message of a key. */
  readonly slow: number;
}

export interface Event {
  readonly what: 'ready' | 'start' | 'end' | 'revoked' | 'lost' | 'error';
  readonly name: string;
  /** Milliseconds, by the machine's clock. */
  readonly at: number;
  readonly key: string;
  readonly seq: number;
  readonly fence: number;
  readonly attempt: number;
  readonly aborted: boolean;
  readonly published: string;
}

export interface Step {
  readonly key: string;
  readonly seq: number;
}

export const steps = topic<Step>('steps', { key: ({ key }) => key });
export const results = topic<Step>('results');

/** A parent that is slow to read leaves no room in the pipe: then again, since a handler must not fail of that. */
function write(line: string): void {
  for (;;) {
    try {
      writeSync(1, line);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
    }
  }
}

async function run({ url, keyPrefix, name, lease, work, slow }: Orders): Promise<void> {
  const tell = (what: Event['what'], more: Partial<Event> = {}): void => {
    const at = performance.timeOrigin + performance.now();
    write(`${JSON.stringify({ what, name, at, ...more })}\n`);
  };
  const bus = await connect({ brokers: { main: { url, redis: { keyPrefix } } }, source: name });
  bus.on('revoked', () => tell('revoked'));
  bus.on('lease-lost', ({ key }) => tell('lost', { key: key ?? '' }));
  bus.on('error', ({ error }) => tell('error', { published: error.message }));
  await bus.subscribe(steps, { group: 'g', concurrency: 16, lease }, async ({ payload }, context) => {
    const { attempt, fence } = context;
    tell('start', { ...payload, attempt, fence: fence ?? -1 });
    await sleep(payload.seq === 1 ? slow : work);
    const published = await context.publish(results, payload).then(
      () => 'yes',
      (error: { code?: string }) => error.code ?? 'no',
    );
    tell('end', { ...payload, attempt, fence: fence ?? -1, aborted: context.signal.aborted, published });
  });
  tell('ready');
  process.once('SIGTERM', () => void bus.close());
}

if (process.argv[2] !== undefined && import.meta.filename === process.argv[1])
  await run(JSON.parse(process.argv[2]) as Orders);
