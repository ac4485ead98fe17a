import { Buffer } from 'node:buffer';

const multiplier = 0x5bd1e995;
const seed = 0x9747b28c;

/**
 * Kafka's hash of a key's UTF-8 bytes, as its Java client computes it: a signed 32-bit integer. Every broker's
 * partitions use it, so that a key has one home wherever it is published from.
 */
export function murmur2(key: string): number {
  return hash(key, 0x7f);
}

/** The partition of a key among `count` (a whole number, at least 1), as Kafka's default partitioner chooses it. */
export function partitionOf(key: string, count: number): number {
  return (murmur2(key) & 0x7fffffff) % count;
}

/**
 * Takes each character code for one byte, which is right for ASCII and costs half of encoding the key first. A text
 * with a code above `highest` is hashed again as its UTF-8 bytes, held in a string of one byte per character.
 */
function hash(text: string, highest: number): number {
  const length = text.length;
  const tail = length & ~3;
  let result = seed ^ length;
  let seen = 0;
  for (let at = 0; at < tail; at += 4) {
    const a = text.charCodeAt(at);
    const b = text.charCodeAt(at + 1);
    const c = text.charCodeAt(at + 2);
    const d = text.charCodeAt(at + 3);
    seen |= a | b | c | d;
    let word = Math.imul(a | (b << 8) | (c << 16) | (d << 24), multiplier);
    word = Math.imul(word ^ (word >>> 24), multiplier);
    result = Math.imul(result, multiplier) ^ word;
  }
  if (tail < length) {
    for (let at = length - 1; at >= tail; at--) {
      const code = text.charCodeAt(at);
      seen |= code;
      result ^= code << (8 * (at - tail));
    }
    result = Math.imul(result, multiplier);
  }
  if (seen > highest) return hash(Buffer.from(text, 'utf8').toString('latin1'), 0xff);
  result = Math.imul(result ^ (result >>> 13), multiplier);
  return result ^ (result >>> 15);
}
