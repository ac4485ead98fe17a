import { type Position, type StartPosition, WaybillError } from '@waybill/core/adapter';

/**
 * The id after which to begin: Redis's groups start behind an id, ours with the message at that position or time. A
 * bare `t-1` would include that millisecond's first entry.
 */
export function before(start: StartPosition): string {
  if (start === 'held' || start === 'earliest') return '0-0';
  if (start === 'latest') return '$';
  if ('time' in start) return previous(Math.ceil(start.time), '0');
  const [ms = '', sequence = ''] = idOf(start.position).split('-');
  return previous(Number(ms), sequence);
}

function previous(ms: number, sequence: string): string {
  if (/[1-9]/.test(sequence)) return `${ms}-${BigInt(sequence) - 1n}`;
  return ms < 1 ? '0-0' : `${ms - 1}-18446744073709551615`;
}

export function idOf(position: Position): string {
  const id = position['0'];
  if (id !== undefined && /^\d{1,15}-\d{1,20}$/.test(id)) return id;
  throw new WaybillError(
    'invalid',
    `redis: a position is { '0': '<ms>-<sequence>' }, not ${JSON.stringify(position).slice(0, 80)}`,
  );
}
