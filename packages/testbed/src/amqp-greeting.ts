import { Buffer } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { connect as connectPlain, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Certificates } from './certificates.ts';
import type { Place } from './recipe.ts';

/** AMQP 0-9-1. */
const hello = Buffer.from([0x41, 0x4d, 0x51, 0x50, 0, 0, 9, 1]);

/**
 * Says hello in AMQP. A server that works says hello in turn, with its version, before it asks who is there.
 *
 * @param tls Null: none. `true`: with the authorities that Node knows.
 */
export function greetAmqp(place: Place, timeout: number, tls: Certificates | true | null): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket: Socket = tls === null ? connectPlain(place) : connectTls({ ...place, ...filesOf(tls, place) });
    const fail = (error: Error): void => {
      socket.destroy();
      reject(error);
    };
    let got: Buffer = Buffer.alloc(0);
    socket.setTimeout(timeout, () => fail(new Error(`no answer within ${timeout} ms`)));
    socket.once('error', fail);
    socket.once('close', () => fail(new Error('the connection was closed without an answer')));
    socket.on('data', (chunk: Buffer) => {
      got = Buffer.concat([got, chunk]);
      if (got.length >= 11 && !isStart(got)) fail(new Error('the answer is not that of an AMQP 0-9-1 broker'));
      else if (got.length >= 11 && got.length >= 8 + got.readUInt32BE(3)) {
        socket.destroy();
        resolve(versionIn(got));
      }
    });
    socket.write(hello);
  });
}

function filesOf(tls: Certificates | true, { host }: Place): object {
  if (tls === true) return { servername: host };
  return { ca: readFileSync(tls.ca), cert: readFileSync(tls.cert), key: readFileSync(tls.key) };
}

/** A frame of a method: class 10, method 10. */
function isStart(bytes: Buffer): boolean {
  return bytes[0] === 1 && bytes.readUInt16BE(7) === 10 && bytes.readUInt16BE(9) === 10;
}

/** Of the server's properties: the name's length and text, `S`, then the value's length and text. */
function versionIn(bytes: Buffer): string {
  const name = Buffer.concat([Buffer.from([7]), Buffer.from('versionS')]);
  const at = bytes.indexOf(name) + name.length;
  if (at < name.length) return 'unknown';
  return bytes.toString('utf8', at + 4, at + 4 + bytes.readUInt32BE(at));
}
