import { type Destination, WaybillError } from '@waybill/core/adapter';

/** One stream and what belongs to it. All of it has one hash tag, so that a script may touch all of it. */
export interface StreamKeys {
  readonly stream: string;
  /** Sorted set of messages that are held back: score = due time by the server's clock. */
  readonly due: string;
  /** Begins the names of dedup marks; the `sendId` follows. */
  readonly dedup: string;
  /** Hash with the `retention` that was asked for. */
  readonly settings: string;
}

/** The stream of a topic or dead-letter topic, or of a group's inbox. An ordered mode adds a partition to `base`. */
export function streamKeys(prefix: string, destination: Destination): StreamKeys {
  if (destination.kind === 'inbox') return inboxKeys(prefix, destination.topic, destination.group ?? '');
  const base = baseOf(prefix, destination);
  return {
    stream: destination.address ?? `${base}:stream`,
    due: `${base}:due`,
    dedup: `${base}:dedup:stream:`,
    settings: `${base}:settings`,
  };
}

/** @param topic The topic's joined name. */
export function inboxKeys(prefix: string, topic: string, group: string): StreamKeys {
  const base = `${prefix}{${topic}}`;
  return {
    stream: `${base}:inbox:${group}`,
    due: `${base}:due:${group}`,
    dedup: `${base}:dedup:inbox:${group}:`,
    settings: `${base}:settings:${group}`,
  };
}

/** Sorted set of a group's live consumers: score = last sign of life by the server's clock. */
export function membersKey(prefix: string, destination: Destination, group: string): string {
  return `${baseOf(prefix, destination)}:members:${group}`;
}

function baseOf(prefix: string, { name, address }: Destination): string {
  if (address === null) return `${prefix}{${name}}`;
  const [, tag] = /\{([^}]+)\}/.exec(address) ?? [];
  if (tag !== undefined) return `${prefix}{${tag}}:${address}`;
  if (!/[{}]/.test(address)) return `${prefix}{${address}}`;
  throw new WaybillError('invalid', `address '${address}' of '${name}' has braces that are no hash tag`);
}
