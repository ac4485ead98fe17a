import process from 'node:process';
import { Bus } from './bus.ts';
import { type Clock, systemClock } from './clock.ts';
import { loadConfig } from './config-file.ts';
import type { WaybillConfig } from './config-types.ts';
import { WaybillError } from './errors.ts';
import { Events } from './events.ts';
import { Link } from './link.ts';
import { openAdapter } from './load-adapter.ts';
import { attachLog, type Log } from './log.ts';
import type { Broker } from './places.ts';
import { Publisher } from './publisher.ts';
import { sanitise } from './sanitise.ts';
import type { AnyTopic } from './topic.ts';

export interface ConnectOptions {
  /** Checked against their brokers and provisioned before `connect` resolves. */
  readonly topics?: readonly AnyTopic[];
  /** Where to write what happens. Default: nowhere; listen to events instead. */
  readonly log?: Log;
  /** Signals on which the bus closes gracefully; then the signal goes on to whoever else listens, or ends the process. */
  readonly closeOn?: readonly NodeJS.Signals[];
  /** For tests: time and chance. */
  readonly clock?: Clock;
  readonly random?: () => number;
}

const KNOWN = ['topics', 'log', 'closeOn', 'clock', 'random'];

/**
 * Connects to every configured broker, checks what the given topics need, provisions them, and only then resolves.
 *
 * @param config A URL, a configuration, or nothing: then `waybill.config.*` of the working directory, or `WAYBILL_URL`.
 * @throws WaybillError `invalid` for a bad configuration (listing all problems), `not-found` for a missing package,
 * `unsupported` for needs that no broker meets, or what the broker answered (`denied`, `disconnected`, `timeout` …).
 */
export async function connect(config?: string | WaybillConfig, options: ConnectOptions = {}): Promise<Bus> {
  for (const name of Object.keys(options))
    if (!KNOWN.includes(name))
      throw new WaybillError('invalid', `connect: ${name} is not an option; allowed: ${KNOWN.join(', ')}`);
  const resolved = await loadConfig(config);
  const { clock = systemClock, random = Math.random } = options;
  const events: Events = new Events((where, error) =>
    events.emit('error', { where, error: new WaybillError('unclassified', sanitise(error).message, { cause: error }) }),
  );
  if (options.log !== undefined) attachLog(events, options.log);
  const brokers = new Map<string, Broker>();
  for (const [name, broker] of Object.entries(resolved.brokers)) {
    const adapter = await openAdapter(name, broker, resolved.adapters, resolved.source ?? 'waybill');
    const { connectTimeout, reconnect } = resolved;
    const link = new Link({ name, adapter, clock, events, random, connectTimeout, reconnect });
    brokers.set(name, { link, publisher: new Publisher({ link, events, ...resolved.publish }) });
  }
  const signals = watchSignals(options.closeOn ?? [], () => bus.close());
  const bus: Bus = new Bus({ config: resolved, brokers, events, clock, random, onClosed: signals });
  try {
    await Promise.all([...brokers.values()].map(({ link }) => link.open()));
    for (const topic of options.topics ?? []) await bus.prepare(topic);
  } catch (error) {
    await bus.close();
    throw error;
  }
  return bus;
}

function watchSignals(names: readonly NodeJS.Signals[], close: () => Promise<void>): () => void {
  const onSignal = (signal: NodeJS.Signals): void => {
    void close().finally(() => {
      // Ours was the only listener: give the signal its usual effect.
      if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
    });
  };
  for (const name of names) process.on(name, onSignal);
  return () => {
    for (const name of names) process.off(name, onSignal);
  };
}
