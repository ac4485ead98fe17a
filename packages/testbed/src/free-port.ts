import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';

/**
 * Ports of 127.0.0.1 that are free now, all different. Somebody else may take one before it is used: whoever starts a
 * broker on them tries others then.
 */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(Array.from({ length: count }, listening));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}

async function listening(): Promise<Server> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

/** Whether a broker's last words say that its port was taken, in the words of C, Java and Erlang. */
export function isPortTaken(text: string): boolean {
  return /address already in use|eaddrinuse|port is already allocated/i.test(text);
}
