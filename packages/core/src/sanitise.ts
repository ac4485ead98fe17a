import { quote } from './quote.ts';

/** A copy of an error that is fit to be shown: name, message, code, stack and causes, with secrets masked. */
export interface SanitisedError extends Error {
  readonly code?: string | number;
}

const mask = '***';
const longest = { name: 100, message: 2_000, stack: 8_000, causes: 4 };

/** Names whose values are never shown, in URL parameters and in `name=value` or `"name": "value"` text. */
const secretName =
  'passw(?:or)?d|passphrase|pass(?![a-z])|pwd|secret|token|authorization|credentials?|signature|api[-_]?key|access[-_]?key|private[-_]?key|sas[-_]?key';
const isSecret = new RegExp(secretName, 'i');
const assignments = new RegExp(
  // The value: quoted (even where the closing quote was cut off), or up to a space; `Bearer x` is one value. The
  // backslashes are those of JSON inside JSON.
  `((?:${secretName})[\\w-]{0,30}\\\\*["']?\\s*(?:=>|[:=])\\s*)(?:(?:basic|bearer|digest)\\s+)?\\\\*(?:"(?:[^"\\\\]|\\\\.)*"?|'(?:[^'\\\\]|\\\\.)*'?|[^\\s&"']+)`,
  'gi',
);

/** More than a process has credentials; beyond it the oldest give way, so rotating them doesn't fill the memory. */
const mostSecrets = 1_000;
const secrets = new Set<string>();
let longestFirst: readonly string[] = [];

/**
 * Registers exact values (passwords, tokens) that must appear in no sanitised text of this process. Called by whoever
 * reads credentials. Values of fewer than 4 characters are left out: masking them would make every message unreadable.
 *
 * The registry belongs to the process and not to a bus on purpose: text that leaves by a path that forgot to pass a
 * registry along would leak.
 */
export function maskSecrets(...values: readonly string[]): void {
  for (const value of values) {
    for (const form of [value, encodeURIComponent(value.replaceAll(/\p{Surrogate}/gu, '\uFFFD'))]) {
      if (form.length < 4) continue;
      secrets.delete(form); // so that it counts as the newest
      secrets.add(form);
    }
  }
  for (const oldest of secrets) {
    if (secrets.size <= mostSecrets) break;
    secrets.delete(oldest);
  }
  // A secret that begins like another must not leave its tail.
  longestFirst = [...secrets].toSorted((a, b) => b.length - a.length);
}

/** Whether a setting or URL parameter of this name holds a secret. */
export function isSecretName(name: string): boolean {
  return isSecret.test(name);
}

/**
 * Masks registered secrets and everything that looks like a credential: the user part of URLs, `password=…` and the
 * like, authorization headers, AWS signatures and key ids. Rather masks too much. Time is linear in the text, which may
 * come from anybody.
 */
export function maskText(text: string): string {
  let masked = text;
  for (const secret of longestFirst) masked = masked.replaceAll(secret, mask);
  return masked
    .replaceAll(/[^\s"'<>]+/g, maskUserPart)
    .replaceAll(/AWS4-(?:HMAC|ECDSA)[^\r\n"']*/g, `AWS4 ${mask}`)
    .replaceAll(/\b(?:AKIA|ASIA)[A-Z0-9]{12,}/g, mask)
    .replaceAll(assignments, `$1${mask}`);
}

/**
 * `amqp://user:pa/ss@host`: up to the last `@`, since people forget to encode what stands in a password. Not in
 * `file:///…/node_modules/@scope/…`, of which stacks are full.
 */
function maskUserPart(word: string): string {
  const end = word.lastIndexOf('@');
  for (let at = word.indexOf('://'); at >= 0 && at < end; at = word.indexOf('://', at + 3)) {
    if (!/(?:^|[^\w+.-])file$/.test(word.slice(Math.max(0, at - 5), at))) {
      return `${word.slice(0, at + 3)}${mask}${word.slice(end)}`;
    }
  }
  return word;
}

/**
 * The copy of anything thrown that may be shown, logged or stored. Client errors carry passwords, command arguments
 * and signed requests as properties; the copy has none of them. Total: strings, undefined, circular and hostile objects
 * are handled, lengths are bounded, and at most four causes are followed.
 */
export function sanitise(error: unknown): SanitisedError {
  try {
    return copy(error, longest.causes);
  } catch {
    return new Error('an error that can not be read'); // nested proxies and the like
  }
}

function copy(error: unknown, causes: number): SanitisedError {
  if (!isErrorLike(error)) {
    const text = typeof error === 'string' ? error : `thrown: ${quote(error, longest.message)}`;
    const stranger = new Error(bounded(text, longest.message));
    stranger.name = 'NonError';
    return stranger;
  }
  const shown: Error & { code?: string | number } = new Error(bounded(messageOf(error), longest.message));
  const name = read(error, 'name');
  shown.name = typeof name === 'string' ? bounded(name, longest.name) : 'Error';
  const code = read(error, 'code');
  if (typeof code === 'number') shown.code = code;
  else if (typeof code === 'string') shown.code = bounded(code, longest.name);
  const stack = read(error, 'stack');
  shown.stack = typeof stack === 'string' ? bounded(stack, longest.stack) : `${shown.name}: ${shown.message}`;
  const cause = read(error, 'cause');
  if (cause !== undefined && cause !== null && causes > 0) {
    Object.defineProperty(shown, 'cause', { value: copy(cause, causes - 1), configurable: true, writable: true });
  }
  return shown;
}

/**
 * What an error says, with its secrets. One that holds others and says nothing itself says what they say, as Node's does
 * when a host has several addresses.
 */
export function messageOf(error: unknown): string {
  if (!isErrorLike(error)) return typeof error === 'string' ? error : quote(error);
  return String(read(error, 'message')) || innerMessages(error);
}

/** Clients throw plain objects with a message, too. */
function isErrorLike(value: unknown): value is object {
  return typeof value === 'object' && value !== null && typeof read(value, 'message') === 'string';
}

function innerMessages(error: object): string {
  const errors = read(error, 'errors');
  if (!Array.isArray(errors)) return '';
  const inner = errors.slice(0, 5).map((one: unknown) => (isErrorLike(one) ? read(one, 'message') : quote(one)));
  return inner.join('; ');
}

function read(object: object, property: string): unknown {
  try {
    return (object as Record<string, unknown>)[property];
  } catch {
    return undefined; // a getter that throws
  }
}

/** Masks before it cuts, so that no cut secret escapes; far beyond the limit nothing is looked at. */
function bounded(text: string, limit: number): string {
  const masked = maskText(text.slice(0, 4 * limit));
  return masked.length <= limit ? masked : `${masked.slice(0, limit)}…`;
}
