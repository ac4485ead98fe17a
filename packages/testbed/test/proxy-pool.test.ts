import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type BrokerProxy, ProxyPool, TcpProxy } from '../src/index.ts';

let server: Server;
let served: string[];
const made: TcpProxy[] = [];

beforeEach(async () => {
  served = [];
  server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (bytes) => {
      served.push(bytes.toString());
      socket.end('done');
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
});

afterEach(async () => {
  await Promise.all(made.splice(0).map((proxy) => proxy.close()));
  server.close();
});

function pool(ready: number): Promise<ProxyPool> {
  const { port } = server.address() as AddressInfo;
  const proxy = async (): Promise<BrokerProxy> => {
    const one = await TcpProxy.start({ host: '127.0.0.1', port });
    made.push(one);
    return Object.assign(one, { url: `test://127.0.0.1:${one.port}` });
  };
  return ProxyPool.open({ proxy }, ready);
}

/** What a client gets for one request: `done`, or nothing from a broken connection. */
async function request({ port }: BrokerProxy, text: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  let got = '';
  socket.on('data', (bytes) => (got += bytes.toString())).on('error', () => undefined);
  socket.write(text);
  await new Promise((resolve) => socket.once('close', resolve));
  return got;
}

test('each is taken once; more come', async () => {
  const proxies = await pool(2);
  const [a, b] = [proxies.take(), proxies.take()];
  expect(a.port).not.toBe(b.port);
  expect(() => proxies.take()).toThrow(/more proxies are taken at once/);
  await expect.poll(() => made.length).toBe(4);
  expect(await request(proxies.take(), 'a')).toBe('done');
  await proxies.release(a);
  expect(await request(a, 'a')).toBe('');
});

test('a fault strikes one, or all, also those who come later, until it ends', async () => {
  const proxies = await pool(1);
  const [a] = [proxies.take()];
  await expect.poll(() => made.length).toBe(2);
  const b = proxies.take();
  const refuse = (proxy: BrokerProxy): void => proxy.refuse();
  const endOne = proxies.during([a], refuse);
  expect([await request(a, 'a'), await request(b, 'b')]).toEqual(['', 'done']);
  endOne();
  expect(await request(a, 'a')).toBe('done');
  const endAll = proxies.during([], refuse);
  await expect.poll(() => made.length).toBe(3);
  const c = proxies.take();
  expect(await Promise.all([a, b, c].map((one) => request(one, 'x')))).toEqual(['', '', '']);
  endAll();
  expect(await Promise.all([a, b, c].map((one) => request(one, 'x')))).toEqual(['done', 'done', 'done']);
});

test('of two faults for all, one ends and the other stays', async () => {
  const proxies = await pool(1);
  const a = proxies.take();
  const endDelay = proxies.during([], (proxy) => proxy.delay(1));
  const endRefusal = proxies.during([], (proxy) => proxy.refuse());
  endDelay();
  expect(await request(a, 'a')).toBe('');
  endRefusal();
  expect(await request(a, 'a')).toBe('done');
});

test('requests with a mark are lost until there were enough of them', async () => {
  const proxies = await pool(1);
  const a = proxies.take();
  const end = proxies.lose([a], { what: 'request', mark: 'send', count: 3 });
  expect(await request(a, 'read')).toBe('done');
  expect(await request(a, 'send send')).toBe('');
  expect(await request(a, 'send send')).toBe('');
  expect(await request(a, 'send')).toBe('done');
  end();
  expect(served).toEqual(['read', 'send']);
  const endAnswers = proxies.lose([], { what: 'answer', mark: 'send', count: 9 });
  expect(await request(a, 'send 2')).toBe('');
  await expect.poll(() => served.at(-1)).toBe('send 2');
  endAnswers();
  expect(await request(a, 'send 3')).toBe('done');
});

test('closed, it closes all of them, those that are taken, too', async () => {
  const proxies = await pool(2);
  const one = proxies.take();
  await proxies.close();
  await expect.poll(() => made.length).toBe(3);
  for (const proxy of [one, ...made.map((each) => Object.assign(each, { url: '' }))])
    expect(await request(proxy, 'a')).toBe('');
});
