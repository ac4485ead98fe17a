import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { TcpProxy } from '../src/index.ts';

let server: Server;
let proxy: TcpProxy;
let served: string;
const sockets: Socket[] = [];

beforeEach(async () => {
  served = '';
  server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (bytes) => {
      served += bytes.toString();
      socket.write(bytes);
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  proxy = await TcpProxy.start({ host: '127.0.0.1', port: (server.address() as AddressInfo).port });
});

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await proxy.close();
  server.close();
});

interface Client {
  readonly socket: Socket;
  readonly got: () => string;
  readonly error: () => string | null;
}

async function client(): Promise<Client> {
  const socket = connect(proxy.port, proxy.host);
  sockets.push(socket);
  let got = '';
  let error: string | null = null;
  socket.on('data', (bytes) => (got += bytes.toString()));
  socket.on('error', ({ code }: NodeJS.ErrnoException) => (error = code ?? 'unknown'));
  await once(socket, 'connect').catch(() => undefined); // reset before it was told that it stood
  return { socket, got: () => got, error: () => error };
}

async function echo(text: string): Promise<Client> {
  const one = await client();
  one.socket.write(text);
  await expect.poll(one.got).toBe(text);
  return one;
}

test('passes everything on, both ends of the stream too', async () => {
  const { socket } = await echo('hello');
  const [one] = proxy.connections;
  expect([proxy.accepted, one?.bytes]).toEqual([1, { up: 5, down: 5 }]);
  socket.end();
  await once(socket, 'close');
  await expect.poll(() => proxy.connections).toEqual([]);
});

test('passes megabytes unharmed, through a socket that is full', async () => {
  const bytes = Buffer.alloc(5_000_000, 'abcdefghij');
  const { socket, got } = await client();
  socket.pause();
  socket.write(bytes);
  await sleep(100);
  socket.resume();
  await expect.poll(() => got().length, { timeout: 10_000 }).toBe(bytes.length);
  expect(got() === bytes.toString()).toBe(true);
});

test('cut resets connections, or some of them; new ones are welcome', async () => {
  const first = await echo('one');
  const second = await echo('two');
  proxy.cut(({ id }) => id === 2);
  await expect.poll(second.error).toBe('ECONNRESET');
  expect(first.error()).toBeNull();
  proxy.cut();
  await expect.poll(first.error).toBe('ECONNRESET');
  await echo('three');
});

test('refuse resets new connections until healed', async () => {
  proxy.refuse();
  const refused = await client();
  await expect.poll(refused.error).toBe('ECONNRESET');
  proxy.heal();
  await echo('again');
});

test('stall: nothing passes, nobody is told, and all of it comes afterwards', async () => {
  const { socket, got, error } = await echo('a');
  proxy.stall();
  socket.write('b');
  await sleep(150);
  expect([served, got(), error()]).toEqual(['a', 'a', null]);
  proxy.resume();
  await expect.poll(got).toBe('ab');
});

test('stall of one direction: requests arrive, answers wait', async () => {
  const { socket, got } = await echo('a');
  proxy.stall('down');
  socket.write('b');
  await expect.poll(() => served).toBe('ab');
  await sleep(50);
  expect(got()).toBe('a');
  proxy.heal();
  await expect.poll(got).toBe('ab');
});

test('dropped responses never come; healing resets the torn connections', async () => {
  const { socket, got, error } = await echo('a');
  proxy.dropResponses();
  socket.write('b');
  await expect.poll(() => served).toBe('ab');
  await sleep(50);
  proxy.heal();
  await expect.poll(error).toBe('ECONNRESET');
  expect(got()).toBe('a');
  await echo('c');
});

test('a delay holds in each direction and costs no throughput', async () => {
  const { socket, got } = await echo('a');
  proxy.delay(100);
  const began = performance.now();
  for (let turn = 0; turn < 10; turn++) {
    socket.write('b');
    await sleep(10);
  }
  await expect.poll(got, { interval: 5, timeout: 10_000 }).toBe('abbbbbbbbbb');
  const took = performance.now() - began;
  expect(took).toBeGreaterThanOrEqual(270); // the last was sent at 90
  expect(took).toBeLessThan(1_500); // ten after the other would be 2,000
});

test('slow: bytes a second', async () => {
  const { socket, got } = await client();
  proxy.slow(20_000);
  const began = performance.now();
  socket.write('x'.repeat(5_000));
  await expect.poll(() => got().length, { timeout: 10_000 }).toBe(5_000);
  expect(performance.now() - began).toBeGreaterThanOrEqual(240);
  expect(() => proxy.slow(0)).toThrow(/more than 0/);
});

test('cutAfter tears a frame', async () => {
  const { socket, got } = await echo('ab');
  proxy.cutAfter('down', 3);
  socket.write('cdefg');
  // A reset right behind bytes looks like an end of the stream to libuv.
  await once(socket, 'close').catch(() => undefined);
  expect([served, got()]).toEqual(['abcdefg', 'abcde']);
});

test('lose an answer: the request was served, and the client does not hear of it', async () => {
  const { socket, got, error } = await echo('a');
  const lost = proxy.lose('answer', (bytes) => bytes.includes('write'));
  socket.write('read;');
  await expect.poll(got).toBe('aread;');
  socket.write('write;');
  await lost;
  await expect.poll(() => served).toBe('aread;write;');
  await expect.poll(error).toBe('ECONNRESET');
  expect(got()).toBe('aread;');
});

test('lose a request: it was never served', async () => {
  const { socket, error } = await echo('a');
  const lost = proxy.lose('request', (bytes) => bytes.includes('write'));
  socket.write('write;');
  await lost;
  await expect.poll(error).toBe('ECONNRESET');
  await echo('b');
  expect(served).toBe('ab');
});

test('nobody behind it: the connection is reset', async () => {
  server.close();
  const { error } = await client();
  await expect.poll(error).toBe('ECONNRESET');
});

test('close ends its connections, twice too', async () => {
  const { error } = await echo('a');
  await proxy.close();
  await proxy.close();
  await expect.poll(error).toBe('ECONNRESET');
  expect(proxy.connections).toEqual([]);
});

test('cutting while an end is under way loses no handle', async () => {
  const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
  const path = fileURLToPath(new URL('./cut-at-the-end.ts', import.meta.url));
  const options = ['--conditions=waybill-source', '--import', tsx];
  // It is killed when it does not end, and that rejects.
  const { stdout } = await promisify(execFile)(process.execPath, [...options, path], { timeout: 30_000 });
  expect(stdout).toBe('done\n');
}, 40_000);
