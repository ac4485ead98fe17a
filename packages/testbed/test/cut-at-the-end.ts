import { once } from 'node:events';
import { type AddressInfo, connect, createServer, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { TcpProxy } from '../src/tcp-proxy.ts';

/*
 * A program that cuts connections while their ends are under way, and then has nothing more to do: Node would spin for
 * ever at its exit if a handle had been lost. `tcp-proxy.test.ts` waits for its end.
 */
const server = createServer({ allowHalfOpen: true }, (socket) => void socket.on('error', () => undefined).resume());
server.listen(0, '127.0.0.1').unref();
await once(server, 'listening');
const proxy = await TcpProxy.start({ host: '127.0.0.1', port: (server.address() as AddressInfo).port });

let ticks = 0;
const cutSoon = (left: number): void => process.nextTick(() => (left === 0 ? proxy.cut() : cutSoon(left - 1)));
// The moment is a part of one turn of the loop, so it is caught where the proxy ends a socket.
// oxlint-disable-next-line typescript/unbound-method -- called with its socket
const end = Socket.prototype.end as (...args: unknown[]) => Socket;
Socket.prototype.end = function (this: Socket, ...args: unknown[]): Socket {
  const ended = end.apply(this, args);
  if (this.remotePort === (server.address() as AddressInfo).port) cutSoon(ticks);
  return ended;
} as Socket['end'];

for (; ticks < 10; ticks++) {
  const socket = connect(proxy.port, proxy.host).on('error', () => undefined);
  await once(socket, 'connect');
  while (proxy.connections.length === 0) await sleep(1);
  await sleep(5);
  socket.end();
  while (proxy.connections.length > 0) await sleep(1);
}
console.log('done');
