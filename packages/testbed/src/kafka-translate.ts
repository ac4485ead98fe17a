import { Buffer } from 'node:buffer';
import { KAFKA_API } from './kafka-wire.ts';
import type { Translate } from './proxy-pair.ts';
import type { Place } from './recipe.ts';

/** Answers that say where brokers are. */
const telling: ReadonlySet<number> = new Set([
  KAFKA_API.metadata,
  KAFKA_API.findCoordinator,
  KAFKA_API.describeCluster,
]);

/**
 * A Kafka broker tells clients its own address, and a proxy would see them once only. In answers that tell addresses
 * this puts the proxy's port in place of the broker's. Every version of these answers has the host's text, then the
 * port in four bytes; both hosts are the same, so that nothing gets longer.
 */
export function translateKafka(broker: Place, proxy: Place): Translate {
  const told = addressOf(broker);
  const instead = addressOf(proxy);
  const asked = new Set<number>();
  const requests = new Frames((frame) => {
    if (frame.length >= 12 && telling.has(frame.readInt16BE(4))) asked.add(frame.readInt32BE(8));
    return frame;
  });
  const answers = new Frames((frame) => {
    if (!asked.delete(frame.readInt32BE(4))) return frame;
    for (let at = frame.indexOf(told); at >= 0; at = frame.indexOf(told, at + told.length)) instead.copy(frame, at);
    return frame;
  });
  return (direction, bytes) => (direction === 'up' ? requests : answers).take(bytes);
}

function addressOf({ host, port }: Place): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(port);
  return Buffer.concat([Buffer.from(host), bytes]);
}

/** Cuts a stream into frames: four bytes of length, then as many. What is not whole yet waits. */
class Frames {
  readonly #each: (frame: Buffer) => Buffer;
  #chunks: Buffer[] = [];
  #held = 0;
  #wanted = 4;

  constructor(each: (frame: Buffer) => Buffer) {
    this.#each = each;
  }

  take(chunk: Buffer): Buffer {
    this.#chunks.push(chunk);
    this.#held += chunk.length;
    if (this.#held < this.#wanted) return Buffer.alloc(0);
    let rest: Buffer = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks);
    const whole: Buffer[] = [];
    for (;;) {
      this.#wanted = rest.length < 4 ? 4 : Math.max(8, 4 + rest.readInt32BE(0));
      if (rest.length < this.#wanted) break;
      whole.push(this.#each(rest.subarray(0, this.#wanted)));
      rest = rest.subarray(this.#wanted);
    }
    this.#chunks = [rest];
    this.#held = rest.length;
    return Buffer.concat(whole);
  }
}
