import { type Duration, duration } from './duration.ts';
import { WaybillError } from './errors.ts';
import { quote } from './quote.ts';
import { type BrokerUrl, parseBrokerUrl } from './url.ts';

/**
 * Checks the options of one adapter. Each error begins with its name and says which option is wrong, its value, and what
 * is allowed; texts are not shown, since one may be a password.
 *
 * All methods throw WaybillError `invalid`.
 */
export class OptionChecks {
  readonly #adapter: string;

  constructor(adapter: string) {
    this.#adapter = adapter;
  }

  /** The error that tells of a broken rule. */
  wrong(rule: string): WaybillError {
    return new WaybillError('invalid', `${this.#adapter}: ${rule}`);
  }

  /** @param path Of the object that they are in: '' or `dedup.` */
  known(options: object, names: readonly string[], path = ''): void {
    for (const name of Object.keys(options))
      if (!names.includes(name))
        throw this.wrong(`option ${path}${name} is unknown; allowed: ${names.map((one) => path + one).join(', ')}`);
  }

  /** A URL of one of these schemes, with none but these parameters. */
  url(text: string, schemes: readonly string[], params: readonly string[]): BrokerUrl {
    const url = parseBrokerUrl(text);
    if (!schemes.includes(url.scheme))
      throw this.wrong(`the URL's scheme is ${url.scheme}; allowed: ${schemes.join(', ')}`);
    for (const name of Object.keys(url.params))
      if (!params.includes(name)) throw this.wrong(`URL parameter ${name} is unknown; allowed: ${params.join(', ')}`);
    return url;
  }

  whole(name: string, value: unknown, least: number, most: number = Number.MAX_SAFE_INTEGER): number {
    if (Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most) return value as number;
    throw this.wrong(`${name} is ${quote(value)}; allowed: whole numbers ${range(least, most)}`);
  }

  /** A duration, in whole ms. */
  time(name: string, value: Duration, least: number, most: number = Number.MAX_SAFE_INTEGER): number {
    const ms = duration(value, `${this.#adapter}: ${name}`);
    if (Number.isSafeInteger(ms) && ms >= least && ms <= most) return ms;
    throw this.wrong(`${name} is ${quote(value)}; allowed: whole milliseconds ${range(least, most)}`);
  }

  /** The first of what is allowed is the default. */
  oneOf<const T extends string>(name: string, value: unknown, allowed: readonly [T, ...T[]]): T {
    const found = value === undefined ? allowed[0] : allowed.find((one) => one === value);
    if (found !== undefined) return found;
    throw this.wrong(`${name} is ${quote(value)}; allowed: ${allowed.join(', ')}`);
  }

  flag(name: string, value: unknown, usual: boolean): boolean {
    if (value === undefined || typeof value === 'boolean') return value ?? usual;
    throw this.wrong(`${name} is ${quote(value)}; allowed: true, false`);
  }

  /** Null where it is left out. */
  text(name: string, value: unknown): string | null {
    if (value === undefined || typeof value === 'string') return value ?? null;
    throw this.wrong(`${name} must be a string`);
  }
}

/** The hosts of a URL, each with a port; this machine where it names none. */
export function hostsOf({ hosts }: BrokerUrl, port: number): { readonly host: string; readonly port: number }[] {
  const named = hosts.length === 0 ? [{ host: '127.0.0.1', port }] : hosts;
  return named.map((one) => ({ host: one.host, port: one.port ?? port }));
}

const range = (least: number, most: number): string =>
  `from ${least}${most === Number.MAX_SAFE_INTEGER ? '' : ` to ${most}`}`;
