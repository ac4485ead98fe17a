import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import { TcpProxy } from '../src/tcp-proxy.ts';

/*
 * A program that cuts connections while their ends are under way, and then has nothing more to do: Node would spin for
 * ever at its exit if a handle had been lost. `tcp-proxy.test.ts` waits for its end.
 */
async function serve(onData: () => void): Promise<{ host: string; port: number }> {
  const listener = (socket: Socket): void => void socket.on('error', () => undefined).on('data', onData);
  const server: Server = createServer({ allowHalfOpen: true }, listener).listen(0, '127.0.0.1').unref();
  await once(server, 'listening');
  return { host: '127.0.0.1', port: (server.address() as AddressInfo).port };
}

async function open(to: { host: string; port: number }): Promise<Socket> {
  const socket = connect(to).on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

const proxy = await TcpProxy.start(await serve(() => undefined));
const trigger = await open(await serve(() => proxy.cut()));
for (let round = 0; round < 50; round++) {
  const socket = await open(proxy);
  while (proxy.connections.length === 0) await sleep(1);
  await sleep(5);
  // Both arrive in one turn of the proxy's loop: it passes the end on, and is told to cut before that is done.
  socket.end();
  for (let turns = round % 5; turns > 0; turns--) await turn();
  trigger.write('now');
  while (proxy.connections.length > 0) await sleep(1);
}
trigger.destroy();
console.log('done');
