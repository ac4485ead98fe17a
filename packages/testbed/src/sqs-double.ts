import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Entry, FailEntry, Output } from './sqs-double/batch.ts';
import { accountId, Service } from './sqs-double/service.ts';
import { Sns } from './sqs-double/sns.ts';
import type { Queue } from './sqs-double/queue.ts';
import { readCall } from './sqs-double/protocols.ts';
import { SqsError } from './sqs-double/sqs-error.ts';

export interface SqsDoubleOptions {
  /** A port of 127.0.0.1. Default: a free one. */
  readonly port?: number;
  /** Default `us-east-1`. */
  readonly region?: string;
  /** Access key ids that are let in. Default: any. */
  readonly keys?: readonly string[];
  /** Of the random numbers behind shuffling and duplicates. Default 1. */
  readonly seed?: number;
  /** Whether standard queues give messages in a random order. Default true. */
  readonly shuffles?: boolean;
  /** Of how many messages of standard queues there is a second copy at once, 0 to 1. Default 0. */
  readonly duplicates?: number;
  /** Most messages that one queue hands out at once. Default 120,000. */
  readonly mostInFlight?: number;
}

/** What may be made to go wrong with a call. */
export type SqsFault =
  /** The connection ends before the call is done, or after. */
  | { readonly kind: 'lose'; readonly what: 'request' | 'answer' }
  /** It is done, and never answered. */
  | { readonly kind: 'hang' }
  | { readonly kind: 'delay'; readonly ms: number }
  /** It is not done. `type` is a modelled name, such as `RequestThrottled`. */
  | { readonly kind: 'refuse'; readonly type: string; readonly status: number }
  /** It is done; the answer is no JSON. */
  | { readonly kind: 'garble' }
  /** It is done; the answer's checksums are wrong. */
  | { readonly kind: 'wrong-md5' }
  /** Of a batch, these entries fail, done or not, or are mentioned in neither list. */
  | { readonly kind: 'entries'; readonly fail: FailEntry };

/** Which calls a fault strikes: so many go well first (0), then so many don't (1). */
export interface SqsFaultTiming {
  readonly skip?: number;
  readonly count?: number;
  /** Only calls of these access key ids. */
  readonly keys?: readonly string[];
}

export interface SqsCall {
  readonly operation: string;
  readonly input: Readonly<Record<string, unknown>>;
  /** Monotonic ms. */
  readonly at: number;
  /** Connections are numbered from 1. */
  readonly connection: number;
}

interface Injected {
  readonly operation: string;
  readonly fault: SqsFault;
  readonly keys: readonly string[] | null;
  skip: number;
  count: number;
}

/**
 * SQS, and SNS in front of it, in this process, by their written rules and strictly: for tests that no emulator can judge. They speak HTTP to the
 * real SDK, so signing, checksums and errors are part of it. It is no proof of what AWS does, and reports call it
 * `double`.
 */
export class SqsDouble implements AsyncDisposable {
  readonly endpoint: string;
  /** SNS in the same account, at the same endpoint. */
  readonly sns: Sns;
  /** Every call, in order. */
  readonly calls: SqsCall[] = [];
  readonly #server: Server;
  readonly #service: Service;
  readonly #clock: { shift: number };
  readonly #account: { repeats: number };
  readonly #keys: readonly string[] | null;
  readonly #faults: Injected[] = [];
  readonly #connections = new WeakMap<object, number>();
  #connected = 0;

  private constructor(
    server: Server,
    service: Service,
    sns: Sns,
    clock: { shift: number },
    account: { repeats: number },
    keys: readonly string[] | null,
  ) {
    this.#server = server;
    this.#service = service;
    this.sns = sns;
    this.#clock = clock;
    this.#account = account;
    this.#keys = keys;
    this.endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on('request', (request, response) => void this.#answer(request, response));
  }

  static async start(options: SqsDoubleOptions = {}): Promise<SqsDouble> {
    const { port = 0, region = 'us-east-1', keys = null, seed = 1 } = options;
    const { shuffles = true, duplicates = 0, mostInFlight = 120_000 } = options;
    const clock = { shift: 0 };
    const account = {
      repeats: 0,
      now: () => Date.now() + clock.shift,
      random: randomFrom(seed),
      mostInFlight,
      shuffles,
      duplicates,
    };
    const server = createServer({ keepAliveTimeout: 65_000 });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, '127.0.0.1', resolve);
    });
    const service = new Service(account, region);
    const find = (arn: string): Queue | undefined => [...service.queues.values()].find((queue) => queue.arn === arn);
    const sns = new Sns({ now: account.now, find }, `${region}:${accountId}`);
    return new SqsDouble(server, service, sns, clock, account, keys);
  }

  /** By name. Nothing is touched by looking. */
  queue(name: string): Queue | undefined {
    return this.#service.queues.get(name);
  }

  get queues(): readonly Queue[] {
    return [...this.#service.queues.values()];
  }

  callsOf(operation: string): readonly SqsCall[] {
    return this.calls.filter((call) => call.operation === operation);
  }

  /** Lets time pass for leases, delays, windows and retention, at once. Waits of polls take as long as they take. */
  advance(ms: number): void {
    this.#clock.shift += ms;
    this.#service.wake();
  }

  /** So many messages of standard queues, from now on, are handed out twice at once. */
  repeat(count: number): void {
    this.#account.repeats = count;
  }

  /** The next calls of an operation go wrong. Returns what ends it. */
  inject(operation: string, fault: SqsFault, { skip = 0, count = 1, keys }: SqsFaultTiming = {}): () => void {
    const injected: Injected = { operation, fault, keys: keys ?? null, skip, count };
    this.#faults.push(injected);
    return () => {
      injected.count = 0;
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#service.close();
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = [];
    try {
      for await (const part of request) parts.push(part as Buffer);
    } catch {
      return; // the client has gone
    }
    const { operation, input, onSns, protocol } = readCall(request, Buffer.concat(parts).toString());
    this.calls.push({ operation, input, at: performance.now(), connection: this.#connection(request) });
    const key = /Credential=([^/]+)\//.exec(request.headers.authorization ?? '')?.[1] ?? '';
    const fault = this.#faultOf(operation, key);
    try {
      if (fault?.kind === 'lose' && fault.what === 'request') return void request.socket.destroy();
      if (fault?.kind === 'refuse') throw new SqsError(fault.type, 'It was made to fail.', fault.status);
      if (fault?.kind === 'delay') await new Promise((resolve) => setTimeout(resolve, fault.ms));
      this.#admit(key);
      const fail: FailEntry = fault?.kind === 'entries' ? fault.fail : () => null;
      const output = onSns
        ? this.sns.run(operation, input, fail)
        : await this.#service.run(operation, input, this.endpoint, fail);
      if (fault?.kind === 'hang') return;
      if (fault?.kind === 'lose') return void request.socket.destroy();
      if (fault?.kind === 'garble') return void response.writeHead(200).end('<html>');
      protocol.answer(response, fault?.kind === 'wrong-md5' ? spoiled(output) : output);
    } catch (error) {
      protocol.refuse(
        response,
        error instanceof SqsError ? error : new SqsError('InternalFailure', String(error), 500),
      );
    }
  }

  #admit(key: string): void {
    if (this.#keys !== null && !this.#keys.includes(key))
      throw new SqsError('InvalidClientTokenId', 'The security token included in the request is invalid.', 403);
  }

  #faultOf(operation: string, key: string): SqsFault | null {
    const injected = this.#faults.find(
      (one) => one.operation === operation && one.count > 0 && (one.keys === null || one.keys.includes(key)),
    );
    if (injected === undefined) return null;
    if (injected.skip > 0) {
      injected.skip--;
      return null;
    }
    injected.count--;
    return injected.fault;
  }

  #connection({ socket }: IncomingMessage): number {
    const known = this.#connections.get(socket);
    if (known !== undefined) return known;
    this.#connections.set(socket, ++this.#connected);
    return this.#connected;
  }
}

/** The same with checksums of something else. */
function spoiled(output: Output): Output {
  const wrong = 'd41d8cd98f00b204e9800998ecf8427e';
  const entries = output['Successful'] as Entry[] | undefined;
  if (entries === undefined) return { ...output, MD5OfMessageBody: wrong };
  return { ...output, Successful: entries.map((entry) => ({ ...entry, MD5OfMessageBody: wrong })) };
}

/** Numbers from 0 to 1 that a seed decides. */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
