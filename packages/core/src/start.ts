import type { StartPosition } from './contract.ts';
import { WaybillError } from './errors.ts';
import { quote } from './quote.ts';

const names: readonly unknown[] = ['held', 'earliest', 'latest'];

/**
 * Where to begin, as the contract says it: a Date becomes its time.
 *
 * @param what The option, for the error.
 * @throws WaybillError `invalid`: what no adapter understands would be tried for ever, as a connection that may come back
 */
export function startPosition(value: unknown, what: string): StartPosition {
  const start = value instanceof Date ? { time: value.getTime() } : value;
  if (isStart(start)) return start;
  throw new WaybillError(
    'invalid',
    `${what} is ${quote(value)}; allowed: ${names.join(', ')}, a Date, { time: ms } or { position: { partition: text } }`,
  );
}

function isStart(value: unknown): value is StartPosition {
  if (names.includes(value)) return true;
  if (typeof value !== 'object' || value === null || Object.keys(value).length !== 1) return false;
  const { time, position } = value as { readonly time?: unknown; readonly position?: unknown };
  if (time !== undefined) return typeof time === 'number' && time >= 0 && time <= Number.MAX_SAFE_INTEGER;
  if (typeof position !== 'object' || position === null) return false;
  const places = Object.values(position);
  return places.length > 0 && places.every((place) => typeof place === 'string');
}
