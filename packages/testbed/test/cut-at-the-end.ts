import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { TcpProxy } from '../src/tcp-proxy.ts';

/*
 * A program that cuts connections while their ends are under way, and then has nothing more to do: Node would spin for
 * ever at its exit if a handle had been lost. `tcp-proxy.test.ts` waits for its end.
 */
const server = createServer((socket) => socket.on('error', () => undefined).resume()).listen(0, '127.0.0.1').unref();
await once(server, 'listening');
const proxy = await TcpProxy.start({ host: '127.0.0.1', port: (server.address() as AddressInfo).port });
for (let round = 0; round < 100; round++) {
  const socket = connect(proxy.port, proxy.host).on('error', () => undefined);
  await once(socket, 'connect');
  while (proxy.connections.length === 0) await turn();
  socket.end('bye');
  for (let look = round % 10; look > 0; look--) await turn();
  proxy.cut();
}
console.log('done');
