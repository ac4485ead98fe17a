import type { BusEventName, BusEvents, Events } from './events.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** Where a bus writes what it does. `console` wrapped, pino, winston: anything with this shape. */
export type Log = (level: LogLevel, message: string, fields: Readonly<Record<string, unknown>>) => void;

/** Events that are written, and how loud. The others are for metrics. */
const LEVELS: Partial<Record<BusEventName, LogLevel>> = {
  connected: 'info',
  disconnected: 'warn',
  reconnecting: 'warn',
  subscribed: 'info',
  resubscribing: 'warn',
  revoked: 'info',
  'lease-lost': 'warn',
  retry: 'info',
  'dead-lettered': 'warn',
  'copy-failed': 'error',
  dropped: 'warn',
  'forged-headers': 'warn',
  'held-back': 'warn',
  stopped: 'error',
  'publish-blocked': 'warn',
  'publish-failed': 'warn',
  closed: 'info',
  error: 'error',
};

/** Writes events to a log. Errors are written as code and message, which hold no secret. */
export function attachLog(events: Events, log: Log): void {
  for (const name of Object.keys(LEVELS) as BusEventName[])
    events.on(name, (event) => log(LEVELS[name] as LogLevel, name, plain(event)));
}

function plain(event: BusEvents[BusEventName]): Readonly<Record<string, unknown>> {
  const fields: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(event)) {
    if (value instanceof Error) {
      fields['code'] ??= (value as { code?: unknown }).code; // an event's own code says more
      fields[name] = value.message;
    } else fields[name] = value;
  }
  return fields;
}
