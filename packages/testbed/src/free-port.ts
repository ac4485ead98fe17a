import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';

/**
 * A port of 127.0.0.1 that is free now. Somebody else may take it before it is used: whoever starts a broker on it
 * tries another one then.
 */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Whether a broker's last words say that its port was taken, in the words of C, Java and Erlang. */
export function isPortTaken(text: string): boolean {
  return /address already in use|eaddrinuse|port is already allocated/i.test(text);
}
