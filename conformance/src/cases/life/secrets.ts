import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { inspect } from 'node:util';
import { connect, parseConfig, WaybillError, type WaybillConfig } from '@waybill/core';
import type { CaseContext } from '../../case-context.ts';
import type { ConformanceCase } from '../../case.ts';
import { type Marker, marker } from './marker.ts';

/** URL schemes of the adapters that Waybill knows. */
const schemes: Readonly<Record<string, readonly string[]>> = {
  memory: ['memory'],
  redis: ['redis', 'rediss'],
  kafka: ['kafka', 'kafkas'],
  rabbitmq: ['amqp', 'amqps'],
  sqs: ['sqs+http', 'sqs-fifo+http'],
};

/** Options of each adapter in which a credential may stand, rightly or by mistake. */
const options: Readonly<Record<string, (secret: string) => readonly Record<string, unknown>[]>> = {
  redis: (secret) => [
    { username: 'u', password: secret },
    { password: [secret] },
    { tls: { key: secret, passphrase: secret } },
  ],
  kafka: (secret) => [
    { sasl: { mechanism: 'plain', username: 'u', password: secret } },
    { ssl: { key: secret, passphrase: secret } },
    { sasl: secret },
  ],
  rabbitmq: (secret) => [
    { username: 'u', password: secret },
    { credentials: { username: 'u', password: secret } },
    { tls: { passphrase: secret } },
  ],
  sqs: (secret) => [
    { credentials: { accessKeyId: `AKIA${secret}`, secretAccessKey: secret, sessionToken: secret } },
    { credentials: secret },
  ],
};

/** Every place of a configuration that may hold a credential: well-formed ones, and ones that nobody can read. */
function configurations(adapter: string, { secret, encoded }: Marker, port: number): unknown[] {
  const own = schemes[adapter] ?? [adapter];
  const place = `127.0.0.1:${port}`;
  const urls = own.flatMap((scheme) => [
    `${scheme}://user:${encoded}@${place}`,
    `${scheme}://${encoded}@${place}`,
    `${scheme}://:${encoded}@${place}/0`,
    `${scheme}://${place}?sasl=plain&password=${encoded}&token=${encoded}`,
    // Not encoded, cut off, in the wrong place: what people write.
    `${scheme}://user:${secret}@${place}`,
    `${scheme}://user:${encoded}%zz@${place}`,
    `${scheme}://user:${encoded}@${place}@more`,
    `${scheme}://user:${encoded}@host:${encoded}`,
    `${scheme}://us er:${encoded}@${place}`,
    `${scheme}:user:${encoded}@${place}`,
    `${scheme}//user:${encoded}@${place}`,
    `user:${encoded}@${place}`,
    `${encoded}://${place}`,
    `nope://user:${encoded}@${place}`,
  ]);
  const unknown = [{ password: secret }, { nothing: secret }, { nested: { token: secret } }];
  const wrapped = [...(options[adapter]?.(secret) ?? []), ...unknown].map((given) => ({
    brokers: { main: { url: own[0] === 'memory' ? 'memory:' : `${own[0] ?? adapter}://${place}`, [adapter]: given } },
  }));
  return [...urls, ...urls.map((url) => ({ brokers: { main: url }, topology: 'maybe' })), ...wrapped];
}

/** Servers that answer as no broker does: nothing listens, closing at once, talking nonsense, saying nothing. */
async function strangers(): Promise<{ ports: number[]; close: () => Promise<void> }> {
  const sockets = new Set<Socket>();
  const listen = async (each: (socket: Socket) => void): Promise<Server> => {
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => undefined);
      each(socket);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return server;
  };
  const gone = await listen(() => undefined);
  const rude = await listen((socket) => socket.destroy());
  const odd = await listen((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\nno\r\n'));
  const mute = await listen(() => undefined);
  const ports = [gone, rude, odd, mute].map((server) => (server.address() as AddressInfo).port);
  const end = (server: Server): Promise<unknown> => new Promise((resolve) => server.close(resolve));
  await end(gone);
  return {
    ports,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await Promise.all([rude, odd, mute].map(end));
    },
  };
}

export const secrets: readonly ConformanceCase[] = [
  {
    id: 'L5.no-secret-in-start-up-errors',
    guarantees: ['L5'],
    title:
      'No error of a failed start, however it is printed, and no log line holds a credential of the configuration.',
    cost: 'slow',
    run: async (t: CaseContext) => {
      const mark = marker(t.run);
      const { ports, close } = await strangers();
      try {
        for (const port of ports) {
          const all = configurations(t.supports.adapter, mark, port);
          await Promise.all(
            all.map((config, index) =>
              attempt(t, mark, config, `configuration ${index + 1}, port ${ports.indexOf(port) + 1}`),
            ),
          );
        }
      } finally {
        await close();
      }
    },
  },
  {
    id: 'L5.no-secret-in-shown-configuration',
    guarantees: ['L5'],
    title: 'A configuration, checked and printed, shows no credential.',
    cost: 'quick',
    run: async (t: CaseContext) => {
      const mark = marker(t.run);
      const brokers = Object.fromEntries(
        Object.entries(schemes).flatMap(([adapter, own]) =>
          own
            .filter((scheme) => scheme !== 'memory')
            .map((scheme, index) => [
              `${adapter}${index}`,
              {
                url: `${scheme}://user:${mark.encoded}@host:1?password=${mark.encoded}`,
                [adapter]: { password: mark.secret },
              },
            ]),
        ),
      );
      const resolved = parseConfig({ brokers }, 'the case');
      mark.search(t, 'the parsed configuration', resolved);
      t.equal(Object.keys(resolved.brokers), Object.keys(brokers), 'its brokers');
      await Promise.resolve();
    },
  },
];

/** One start with a secret in it: it must fail, in time, with a typed error that is safe to print. */
async function attempt(t: CaseContext, mark: Marker, config: unknown, what: string): Promise<void> {
  const lines: unknown[] = [];
  const began = t.now();
  const given = typeof config === 'string' ? { brokers: { main: config } } : (config as WaybillConfig);
  try {
    const bus = await connect(
      { connectTimeout: '2s', ...given },
      {
        topics: [t.topic('orders')],
        log: (...line) => lines.push(line),
      },
    );
    lines.push(bus.describe(), bus.health());
    await bus.close();
    t.fail(`${what} was accepted`);
  } catch (error) {
    if (!(error instanceof WaybillError)) throw error;
    t.ok(t.now() - began < t.scaled(12_000), `${what}: the error came within seconds`);
    mark.search(t, `the error of ${what} (${error.code})`, error);
    mark.search(t, `its text`, [
      String(error),
      error.stack,
      JSON.stringify(error),
      inspect(error, { showHidden: true, depth: 20 }),
    ]);
  }
  mark.search(t, `what was logged of ${what}`, lines);
}
