import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { installBroker } from '@waybill/testbed';
import { Redis } from 'ioredis';

if (process.env['WAYBILL_INSTALL'] === '1') await installBroker('redis');
const program = 'redis-server';

/** Whether servers of our own can be had: what follows reconfigures them, which is nothing for a given address. */
export const canServe: boolean = spawnSync(program, ['--version']).status === 0;
export const remedy = `no ${program} on the PATH; install it, or set WAYBILL_INSTALL=1 to have it installed (as root)`;

export interface OwnServer {
  readonly port: number;
  readonly url: string;
  readonly raw: Redis;
  stop(): Promise<void>;
}

const password = 'own-server-secret';

/** A Redis on a free port, with a password, AOF, and these options. */
export async function ownServer(options: readonly string[] = []): Promise<OwnServer> {
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), 'waybill-redis-'));
  const child: ChildProcess = spawn(
    program,
    ['--port', String(port), '--bind', '127.0.0.1', '--requirepass', password, '--masterauth', password]
      .concat(['--appendonly', 'yes', '--save', '', '--dir', folder])
      .concat(options),
    { stdio: 'ignore' },
  );
  process.once('exit', () => child.kill('SIGKILL'));
  const raw = new Redis({ host: '127.0.0.1', port, password, retryStrategy: () => 50, maxRetriesPerRequest: null });
  raw.on('error', () => undefined);
  await raw.ping();
  return {
    port,
    url: `redis://:${password}@127.0.0.1:${port}/0`,
    raw,
    stop: async () => {
      raw.disconnect();
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

/** A Sentinel that knows this server as `mymaster`. */
export async function ownSentinel(master: OwnServer): Promise<{ url: string; stop: () => Promise<void> }> {
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), 'waybill-sentinel-'));
  const file = join(folder, 'sentinel.conf');
  writeFileSync(
    file,
    `bind 127.0.0.1\nport ${port}\nsentinel monitor mymaster 127.0.0.1 ${master.port} 1\nsentinel auth-pass mymaster ${password}\n`,
  );
  const child = spawn(program, [file, '--sentinel'], { stdio: 'ignore' });
  process.once('exit', () => child.kill('SIGKILL'));
  const raw = new Redis({ host: '127.0.0.1', port, retryStrategy: () => 50, maxRetriesPerRequest: null });
  raw.on('error', () => undefined);
  await raw.ping();
  raw.disconnect();
  return {
    url: `redis://:${password}@127.0.0.1:${port}`,
    stop: async () => {
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** A node's second port is the first and 10,000, and may be another's, unless it is given. */
const clustered = async (): Promise<{ bus: number; options: string[] }> => {
  const bus = await freePort();
  const options = ['--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1', '--cluster-port', String(bus)];
  return { bus, options };
};

/** A Cluster of so many masters, without replicas. */
export async function ownCluster(nodes: number): Promise<{ servers: OwnServer[]; url: string }> {
  const buses: number[] = [];
  const start = async (_: unknown, at: number): Promise<OwnServer> => {
    const { bus, options } = await clustered();
    buses[at] = bus;
    return ownServer(options);
  };
  const servers = await Promise.all(Array.from({ length: nodes }, start));
  const [first] = servers;
  for (const [at, { raw, port }] of servers.entries()) {
    const from = Math.floor((16_384 * at) / nodes);
    await raw.call('CLUSTER', ['ADDSLOTSRANGE', from, Math.floor((16_384 * (at + 1)) / nodes) - 1]);
    if (at > 0) await first?.raw.call('CLUSTER', ['MEET', '127.0.0.1', port, buses[at] as number]);
  }
  const ready = async ({ raw }: OwnServer): Promise<boolean> => {
    const info = String(await raw.call('CLUSTER', ['INFO']));
    return info.includes('cluster_state:ok') && info.includes(`cluster_size:${nodes}`);
  };
  while (!(await Promise.all(servers.map(ready))).every(Boolean))
    await new Promise((resolve) => setTimeout(resolve, 50));
  const hosts = servers.map(({ port }) => `127.0.0.1:${port}`).join();
  return { servers, url: `redis://:${password}@${hosts}/0` };
}
