/** Which adapter answers to a URL scheme, and the package it comes from. */
export interface AdapterEntry {
  /** The adapter's name, and the key of its own options in a broker's configuration. */
  readonly adapter: string;
  readonly package: string;
}

const ours = (adapter: string): AdapterEntry => Object.freeze({ adapter, package: `@waybill/${adapter}` });

/** Scheme to adapter: the whole list. Whatever is not in it, nor in the configuration's `adapters`, is never imported. */
const SCHEMES: ReadonlyMap<string, AdapterEntry> = new Map([
  ['memory', ours('memory')],
  ['kafka', ours('kafka')],
  ['kafkas', ours('kafka')],
  ['amqp', ours('rabbitmq')],
  ['amqps', ours('rabbitmq')],
  ['redis', ours('redis')],
  ['rediss', ours('redis')],
  ['sqs', ours('sqs')],
  ['sqs+http', ours('sqs')],
  ['sqs+https', ours('sqs')],
  ['sqs-fifo', ours('sqs')],
  ['sqs-fifo+http', ours('sqs')],
  ['sqs-fifo+https', ours('sqs')],
]);

/** Scheme to package, as the configuration's `adapters` gives it. */
export type AdapterPackages = Readonly<Record<string, string>>;

/** The adapter of a scheme, or null for a scheme that nobody knows. */
export function adapterOf(scheme: string, adapters: AdapterPackages): AdapterEntry | null {
  const known = SCHEMES.get(scheme);
  if (known !== undefined) return known;
  const name = Object.hasOwn(adapters, scheme) ? adapters[scheme] : undefined;
  return name === undefined ? null : { adapter: scheme, package: name };
}

/** Whether a scheme is one of ours, which `adapters` may not turn into something else. */
export function isBuiltIn(scheme: string): boolean {
  return SCHEMES.has(scheme);
}

/** Every scheme that can be used, ours first. */
export function knownSchemes(adapters: AdapterPackages): string[] {
  return [...SCHEMES.keys(), ...Object.keys(adapters).filter((scheme) => !SCHEMES.has(scheme))];
}

/** Every package that can be asked for an adapter, each once. */
export function knownPackages(adapters: AdapterPackages): string[] {
  return [...new Set([...[...SCHEMES.values()].map((entry) => entry.package), ...Object.values(adapters)])];
}
