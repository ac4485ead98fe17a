import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';

/**
 * Ports of 127.0.0.1 that are free now, all different. Somebody else may take one before it is used: whoever starts a
 * broker on them tries others then.
 */
export async function freePorts(count: number): Promise<number[]> {
  const servers: Server[] = [];
  for (let tries = 0; servers.length < count && tries < 1_000; tries++) {
    const server = await listening(randomInt(lowest, highest));
    if (server !== null) servers.push(server);
  }
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}

/**
 * Below those that systems give to whoever connects: a client that tries again and again while its broker is down would
 * get the broker's own port one day, be connected to itself, and keep the broker from coming back.
 */
const [lowest, highest] = [10_000, 32_768];

/** Null where the port is taken. */
async function listening(port: number): Promise<Server | null> {
  const server = createServer();
  try {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    return server;
  } catch {
    return null;
  }
}

/** Whether a broker's last words say that its port was taken, in the words of C, Java and Erlang. */
export function isPortTaken(text: string): boolean {
  return /address already in use|eaddrinuse|port is already allocated/i.test(text);
}
