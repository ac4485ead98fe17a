import { type Position, type StartPosition, WaybillError } from '@waybill/core/adapter';

/**
 * The id after which to begin: Redis's groups start behind an id, ours with the message at that position or time. A
 * bare `t-1` would include that millisecond's first entry.
 */
export function before(start: StartPosition, partition = 0): string {
  if (start === 'held' || start === 'earliest') return '0-0';
  if (start === 'latest') return '$';
  if ('time' in start) return previous(Math.ceil(start.time), '0');
  return String(partition) in start.position ? previousId(idOf(start.position, partition)) : '0-0';
}

/** The id right before this one. */
export function previousId(id: string): string {
  const [ms = '', sequence = ''] = id.split('-');
  return previous(Number(ms), sequence);
}

/** Whether a position says nothing of this partition, so that it stays where it is. */
export function isSilent(start: StartPosition, partition: number): boolean {
  return typeof start !== 'string' && 'position' in start && !(String(partition) in start.position);
}

function previous(ms: number, sequence: string): string {
  if (/[1-9]/.test(sequence)) return `${ms}-${BigInt(sequence) - 1n}`;
  return ms < 1 ? '0-0' : `${ms - 1}-18446744073709551615`;
}

export function idOf(position: Position, partition: number): string {
  const id = position[partition];
  if (id !== undefined && /^\d{1,15}-\d{1,20}$/.test(id)) return id;
  throw new WaybillError(
    'invalid',
    `redis: a position is { '<partition>': '<ms>-<sequence>' }, not ${JSON.stringify(position).slice(0, 80)}`,
  );
}
