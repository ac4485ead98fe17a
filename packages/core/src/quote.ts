import { inspect } from 'node:util';

/**
 * How a bad value is shown in an error message: on one line, control characters escaped, about `limit` characters at
 * most. It never throws, whatever the value is.
 */
export function quote(value: unknown, limit = 100): string {
  let text: string;
  try {
    text = inspect(value, {
      depth: 2,
      customInspect: false,
      maxStringLength: limit,
      maxArrayLength: 10,
    }).replaceAll(/\s*\n\s*/g, ' ');
  } catch {
    text = `[${typeof value}]`; // an object that can't be looked at, such as one whose getters throw
  }
  return text.length <= 2 * limit ? text : `${text.slice(0, 2 * limit)}…`;
}
