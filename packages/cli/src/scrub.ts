import { hostname } from 'node:os';

/** `/home/ada/app/src/x.ts`, `file:///…`, `C:\Users\…`: up to the last part, which alone stays. */
const unixPath = /(?:file:\/\/|(?<![\w:/.@-]))(?:\/[^\s/'"`()<>:,;]+)+\/(?=[^\s/'"`()<>:,;])/g;
const windowsPath = /\b[A-Za-z]:\\(?:[^\s\\'"`()<>:,;]+\\)*/g;

/** Text that a report may hold: stack traces and errors of clients tell where somebody's files lie, and on which host. */
export function scrubText(text: string): string {
  const host = hostname();
  const nameless = host.length < 4 || host === 'localhost' ? text : text.replaceAll(host, '(host)');
  return nameless.replaceAll(unixPath, '').replaceAll(windowsPath, '');
}

/** The same for every text inside JSON-safe data; names of properties are left. */
export function scrub<T>(value: T): T {
  return scrubValue(value) as T;
}

function scrubValue(value: unknown): unknown {
  if (typeof value === 'string') return scrubText(value);
  if (Array.isArray(value)) return value.map(scrubValue);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, scrubValue(inner)]));
}
