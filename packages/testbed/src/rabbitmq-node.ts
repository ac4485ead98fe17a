import { join } from 'node:path';

/** What is on beside the broker itself, in Erlang. */
export const plugins = '[rabbitmq_management,rabbitmq_consistent_hash_exchange,rabbitmq_auth_mechanism_ssl].\n';

export interface NodeEnvironment {
  readonly folder: string;
  /** Ports. */
  readonly names: number;
  readonly distribution: number;
}

/**
 * Milliseconds after which the broker sends again what it dead-letters and a queue has not taken, such as one that was not
 * up yet after a restart. By default three minutes, and `rabbitmq.conf` has no name for it.
 */
const again = 3_000;

/** Keeps a node apart from all others of the machine: it has a name server, a cookie and folders of its own. */
export function nodeEnvironment({ folder, names, distribution }: NodeEnvironment): Record<string, string> {
  return {
    HOME: folder, // of the cookie
    RUNNING_UNDER_SYSTEMD: 'true', // then the script becomes the broker; else it stays, and is what a signal reaches
    RABBITMQ_NODENAME: 'waybill@localhost', // a part of the data
    RABBITMQ_CONF_ENV_FILE: '/dev/null',
    RABBITMQ_CONFIG_FILE: join(folder, 'rabbitmq.conf'),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, 'enabled_plugins'),
    RABBITMQ_MNESIA_BASE: join(folder, 'data'),
    RABBITMQ_LOG_BASE: join(folder, 'log'),
    RABBITMQ_PID_FILE: join(folder, 'pid'),
    RABBITMQ_DIST_PORT: String(distribution),
    ERL_EPMD_PORT: String(names),
    ERL_EPMD_ADDRESS: '127.0.0.1',
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: [
      '-kernel inet_dist_use_interface {127,0,0,1}',
      `-rabbit dead_letter_worker_publisher_confirm_timeout ${again}`,
    ].join(' '),
    LC_ALL: 'C.UTF-8',
  };
}

export interface NodeSettings {
  readonly bind: string;
  /** Ports. */
  readonly client: number;
  readonly management: number;
  readonly user: { readonly name: string; readonly password: string };
  /** Of certificates; null without TLS. */
  readonly folderOfKeys: string | null;
  readonly mutual: boolean;
  readonly settings: Readonly<Record<string, string>>;
}

export function nodeSettings({ bind, client, management, user, folderOfKeys, mutual, settings }: NodeSettings): string {
  const all: Record<string, string | number | boolean> = {
    ...(folderOfKeys === null
      ? { 'listeners.tcp.local': `${bind}:${client}` }
      : { 'listeners.tcp': 'none', 'listeners.ssl.local': `${bind}:${client}`, ...tlsSettings(folderOfKeys, mutual) }),
    'management.tcp.ip': bind,
    'management.tcp.port': management,
    default_user: user.name,
    default_pass: user.password,
    loopback_users: 'none',
    'disk_free_limit.absolute': '50MB',
    collect_statistics_interval: 1_000, // how old the plugin's lists are
    'log.console': true,
    'log.console.level': 'info',
    'log.file': false,
    ...settings,
  };
  return Object.entries(all)
    .map(([name, value]) => `${name} = ${value}\n`)
    .join('');
}

function tlsSettings(folder: string, mutual: boolean): Record<string, string | boolean> {
  return {
    'ssl_options.cacertfile': join(folder, 'ca.crt'),
    'ssl_options.certfile': join(folder, 'server.crt'),
    'ssl_options.keyfile': join(folder, 'server.key'),
    'ssl_options.verify': mutual ? 'verify_peer' : 'verify_none',
    'ssl_options.fail_if_no_peer_cert': mutual,
    // Then a client may also log in as the user that its certificate names.
    ...(mutual && {
      'auth_mechanisms.1': 'PLAIN',
      'auth_mechanisms.2': 'EXTERNAL',
      ssl_cert_login_from: 'common_name',
    }),
  };
}
