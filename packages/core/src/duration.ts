import { WaybillError } from './errors.ts';
import { quote } from './quote.ts';

/** Milliseconds, or text: `50ms`, `30s`, `2m`, `1.5h`, `7d`. */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`;

const units = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1_000, ms: 1 } as const;
const shape = /^(\d{1,16}(?:\.\d{1,3})?)(ms|s|m|h|d)$/;

/**
 * Milliseconds of a duration, from 0 to 2⁵³ − 1.
 *
 * @param what The option's path, for the error.
 * @throws WaybillError `invalid` for anything else, such as a negative number or a unit it does not know.
 */
export function duration(value: Duration, what = 'duration'): number {
  const ms = typeof value === 'string' ? parse(value) : value;
  if (typeof ms === 'number' && ms >= 0 && ms <= Number.MAX_SAFE_INTEGER) return ms;
  throw new WaybillError(
    'invalid',
    `${what} is ${quote(value)}; allowed: milliseconds as a number from 0, or a number with a unit of ms, s, m, h, d such as '30s'`,
  );
}

function parse(text: string): number {
  const match = shape.exec(text);
  if (match === null) return Number.NaN;
  return Math.round(Number(match[1]) * units[match[2] as keyof typeof units]);
}

/** The text of a duration in the largest unit that needs no fraction: 90,000 is `90s`. Rounded to milliseconds. */
export function formatDuration(ms: number): Duration {
  const whole = Math.round(ms);
  if (whole === 0) return '0ms';
  for (const unit of ['d', 'h', 'm', 's'] as const) {
    if (whole % units[unit] === 0) return `${whole / units[unit]}${unit}`;
  }
  return `${whole}ms`;
}
