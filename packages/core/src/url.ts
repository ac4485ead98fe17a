import { isIPv6 } from 'node:net';
import { WaybillError } from './errors.ts';
import { isSecretName } from './sanitise.ts';

/** The parts of a broker's URL, percent-decoded. */
export interface BrokerUrl {
  /** In lower case, without the colon: `kafka`, `sqs+http`. */
  readonly scheme: string;
  /** None for `memory:`; a region counts as one (`sqs://eu-west-1`). IPv6 addresses are without brackets. */
  readonly hosts: readonly { readonly host: string; readonly port: number | null }[];
  /** Null where absent or empty. */
  readonly username: string | null;
  readonly password: string | null;
  /** What follows the slash behind the hosts, which may be empty; null without that slash (AMQP tells them apart). */
  readonly path: string | null;
  /** The map has no prototype. A plus sign stays one. */
  readonly params: Readonly<Record<string, string>>;
}

const shape = /^([a-z][a-z0-9+.-]*):(?:\/\/([^/?]*)(?:\/([^?]*))?)?(?:\?(.*))?$/i;
const hostShape = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9][a-z0-9._-]*))(?::(\d{1,5}))?$/i;

/**
 * Reads `scheme://user:password@host:port,host:port/path?name=value`, where all but the scheme may be missing.
 *
 * Node's `URL` is not used: it knows no host lists, and its errors carry the whole URL. Errors from here name the part
 * and the rule, and of the URL no more than its scheme, because in a URL that is wrong any part may be the password.
 *
 * @throws WaybillError `invalid`, nothing else.
 */
export function parseBrokerUrl(url: string): BrokerUrl {
  const refuse: Refuse = (rule) => new WaybillError('invalid', `broker URL ${outline(url)}: ${rule}`);

  if (typeof url !== 'string' || url === '') throw refuse('must be a text such as kafka://host:9092 or memory:');
  if (/[\s\p{Cc}]/u.test(url)) throw refuse('has a space or control character; write it percent-encoded');
  const [, scheme, authority = '', path, query = ''] = shape.exec(url) ?? [];
  if (scheme === undefined) throw refuse('must begin with a scheme, a colon, and two slashes where a host follows');
  const at = authority.indexOf('@');
  if (url.includes('#') || url.split('@').length > (at < 0 ? 1 : 2)) {
    throw refuse('write @ / ? # % in a user name, password, path or parameter as %40 %2F %3F %23 %25');
  }
  const [, user = '', password = ''] = /^([^:]*):?(.*)$/.exec(authority.slice(0, Math.max(0, at))) ?? [];
  const hosts = authority.slice(at + 1);
  if (at >= 0 && hosts === '') throw refuse('has a user name or password but no host');

  return {
    scheme: scheme.toLowerCase(),
    hosts: hosts === '' ? [] : hosts.split(',').map((text, index) => readHost(text, index, refuse)),
    username: decode(user, 'the user name', refuse) || null,
    password: decode(password, 'the password', refuse) || null,
    path: path === undefined ? null : decode(path, 'the path', refuse),
    params: readParams(query, refuse),
  };
}

type Refuse = (rule: string) => WaybillError;

function readHost(text: string, index: number, refuse: Refuse): BrokerUrl['hosts'][number] {
  const [, ipv6, name, digits] = hostShape.exec(text) ?? [];
  const host = ipv6 === undefined || isIPv6(ipv6) ? (ipv6 ?? name) : undefined;
  const port = digits === undefined ? null : Number(digits);
  if (host !== undefined && (port === null || (port >= 1 && port <= 65_535))) return { host, port };
  throw refuse(
    `host ${index + 1} must be a name, an IPv4 address or an IPv6 address in brackets, with a port from 1 to 65535 if any`,
  );
}

function readParams(query: string, refuse: Refuse): Record<string, string> {
  const params: Record<string, string> = Object.create(null) as Record<string, string>;
  for (const pair of query.split('&').filter((text) => text !== '')) {
    const equals = pair.includes('=') ? pair.indexOf('=') : pair.length;
    const name = decode(pair.slice(0, equals), 'a parameter name', refuse);
    if (name === '' || name in params) throw refuse('has a parameter without a name, or one given twice');
    params[name] = decode(pair.slice(equals + 1), 'a parameter value', refuse);
  }
  return params;
}

function decode(text: string, what: string, refuse: Refuse): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw refuse(`${what} has a % that begins no percent-encoded UTF-8; write % as %25`);
  }
}

/**
 * A broker's URL as it may be shown: `***` for user name and password together and for parameters that are secret by
 * name; of a URL that is wrong, only the scheme. Never throws.
 */
export function maskUrl(url: string): string {
  let parts: BrokerUrl;
  try {
    parts = parseBrokerUrl(url);
  } catch {
    return outline(url);
  }
  const { scheme, hosts, username, password, path, params } = parts;
  const user = username === null && password === null ? '' : '***@';
  const hostList = hosts.map(
    ({ host, port }) => (host.includes(':') ? `[${host}]` : host) + (port === null ? '' : `:${port}`),
  );
  const query = Object.entries(params).map(
    ([name, value]) => `${encodeURIComponent(name)}=${isSecretName(name) ? '***' : encodeURIComponent(value)}`,
  );
  const slashes = hosts.length > 0 || path !== null ? '//' : '';
  return `${scheme}:${slashes}${user}${hostList.join(',')}${path === null ? '' : `/${encodeURIComponent(path)}`}${query.length === 0 ? '' : `?${query.join('&')}`}`;
}

/** Without `//` behind it, what looks like a scheme may be a user name. */
function outline(url: unknown): string {
  const scheme = typeof url === 'string' ? /^[a-z][a-z0-9+.-]{0,30}:\/\//i.exec(url)?.[0] : undefined;
  return `${scheme?.toLowerCase() ?? ''}***`;
}
