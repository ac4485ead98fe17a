import { Buffer } from 'node:buffer';
import { connect as connectPlain, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';

/** What Redis answers: a bulk string as bytes, a simple one as text. */
export type Reply = string | number | Buffer | null | readonly Reply[];

/** An answer that begins with a minus sign: `WRONGPASS …`, `LOADING …`. */
export class ReplyError extends Error {
  override readonly name: string = 'ReplyError';
}

export interface RespAddress {
  readonly host: string;
  readonly port: number;
  readonly username: string | null;
  readonly password: string | null;
  readonly tls: ConnectionOptions | null;
}

interface Waiting {
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: Error) => void;
}

/** A Redis client of a few lines: the testbed asks few questions, and must not lean on the client under test. */
class RespConnection {
  readonly #socket: Socket;
  readonly #waiting: Waiting[] = [];
  #received: Buffer = Buffer.alloc(0);
  #ended: Error | null = null;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('error', (error) => this.#end(error));
    socket.on('close', () => this.#end(new Error('the connection was closed without an answer')));
  }

  /** Connects and authenticates. @param timeout Milliseconds; it holds for every answer, too. */
  static async open({ host, port, username, password, tls }: RespAddress, timeout: number): Promise<RespConnection> {
    const socket = tls === null ? connectPlain({ host, port }) : connectTls({ host, port, ...tls });
    socket.setNoDelay(true);
    socket.setTimeout(timeout, () => socket.destroy(new Error(`no answer within ${timeout} ms`)));
    const connection = new RespConnection(socket);
    if (password === null) return connection;
    try {
      await connection.command(username === null ? ['AUTH', password] : ['AUTH', username, password]);
      return connection;
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  /** Sends one command. @throws ReplyError when Redis refuses it */
  command(words: readonly (string | Uint8Array)[]): Promise<Reply> {
    if (this.#ended !== null) return Promise.reject(this.#ended);
    const parts: Uint8Array[] = [Buffer.from(`*${words.length}\r\n`)];
    for (const word of words) {
      const bytes = Buffer.from(word as string);
      parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n'));
    }
    this.#socket.write(Buffer.concat(parts));
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    for (;;) {
      let read: Read | null;
      try {
        read = readReply(this.#received, 0);
      } catch (error) {
        this.#socket.destroy(error as Error);
        return;
      }
      if (read === null) return;
      this.#received = this.#received.subarray(read.end);
      const waiting = this.#waiting.shift();
      if (read.value instanceof ReplyError) waiting?.reject(read.value);
      else waiting?.resolve(read.value);
    }
  }

  #end(error: Error): void {
    this.#ended ??= error;
    for (const { reject } of this.#waiting.splice(0)) reject(this.#ended);
  }
}

/** One command on a connection of its own. */
export async function ask(
  address: RespAddress,
  words: readonly (string | Uint8Array)[],
  timeout: number,
): Promise<Reply> {
  const connection = await RespConnection.open(address, timeout);
  try {
    return await connection.command(words);
  } finally {
    connection.close();
  }
}

interface Read {
  readonly value: Reply | ReplyError;
  readonly end: number;
}

/** Null where bytes are missing. @throws Error when this is not RESP2 */
function readReply(bytes: Buffer, at: number): Read | null {
  const stop = bytes.indexOf('\r\n', at);
  if (stop < 0) {
    if (bytes.length - at > 65_536) throw new Error('the answer is not that of a Redis server');
    return null;
  }
  const line = bytes.toString('utf8', at + 1, stop);
  const end = stop + 2;
  switch (bytes.toString('latin1', at, at + 1)) {
    case '+':
      return { value: line, end };
    case '-':
      return { value: new ReplyError(line), end };
    case ':':
      return { value: Number(line), end };
    case '$': {
      const length = Number(line);
      if (length < 0) return { value: null, end };
      if (bytes.length < end + length + 2) return null;
      return { value: bytes.subarray(end, end + length), end: end + length + 2 };
    }
    case '*':
      return readArray(bytes, end, Number(line));
    default:
      throw new Error('the answer is not that of a Redis server');
  }
}

function readArray(bytes: Buffer, start: number, length: number): Read | null {
  if (length < 0) return { value: null, end: start };
  const items: Reply[] = [];
  let end = start;
  for (let index = 0; index < length; index++) {
    const item = readReply(bytes, end);
    if (item === null) return null;
    items.push(item.value instanceof ReplyError ? item.value.message : item.value);
    end = item.end;
  }
  return { value: items, end };
}
