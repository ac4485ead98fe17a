import { createHash } from 'node:crypto';
import { Buffer } from 'node:buffer';
import { type Destination, WaybillError } from '@waybill/core/adapter';
import type { Settings } from './options.ts';

/** The longest name that SQS takes, `.fifo` included. */
const MOST = 80;
/** A group's name, as it stands in a queue's: dots are written `_-`. */
const groupShape = /^[a-z][a-z0-9]*(?:(?:-|_-)[a-z0-9]+)*$/;
const reserved = ['dlq', 'retry'];
const legal = /^[\x21-\x7e]{1,128}$/;

/** Which queue is whose: one per topic and group, which is the group's inbox, too, and one for its dead letters. */
export class Layout {
  readonly #prefix: string;
  readonly #suffix: string;
  /** Queues that `address` names, by our own name of them. */
  readonly #addresses = new Map<string, string>();

  constructor({ queuePrefix, fifo }: Pick<Settings, 'queuePrefix' | 'fifo'>) {
    this.#prefix = queuePrefix;
    this.#suffix = fifo ? '.fifo' : '';
  }

  /** The queue of a group, by the name or the address that it has. @throws WaybillError `invalid` when too long. */
  group(topic: string, group: string, address: string | null): string {
    const joined = `${topic}__${group}`;
    if (address !== null && address.endsWith('.fifo') !== (this.#suffix !== ''))
      throw new WaybillError(
        'invalid',
        `sqs: the address '${address}' of group '${group}' must be the name of a ${this.#suffix === '' ? 'standard' : 'FIFO'} queue, ${this.#suffix === '' ? 'without' : 'with'} .fifo at its end`,
      );
    if (address !== null) this.#addresses.set(joined, address);
    return this.#addresses.get(joined) ?? this.#physical(joined);
  }

  /** The one queue of an inbox or a dead-letter topic. */
  only({ kind, name, topic, group }: Destination): string {
    return kind === 'inbox' ? this.group(topic, group ?? '', null) : this.#physical(name);
  }

  /** The queue in which a subscription reads. */
  source(destination: Destination, group: string, address: string | null): string {
    return destination.kind === 'topic' ? this.group(destination.topic, group, address) : this.only(destination);
  }

  /** The SNS topic that brings a topic's messages to its groups. */
  snsTopic(topic: string): string {
    return `${this.#prefix}${escaped(topic)}${this.#suffix}`;
  }

  /** What the queues of a topic's groups begin with. */
  beginning(topic: string): string {
    return `${this.#prefix}${escaped(topic)}__`;
  }

  /** Whether a queue that begins so is that of a group, and neither dead letters nor another topic's. */
  isGroup(beginning: string, queue: string): boolean {
    if (!queue.startsWith(beginning) || !queue.endsWith(this.#suffix)) return false;
    const rest = queue.slice(beginning.length, queue.length - this.#suffix.length);
    return groupShape.test(rest) && !reserved.includes(rest);
  }

  /** Checks the longest name that a group will need, its dead letters'. */
  check(topic: string, group: string): void {
    this.#physical(`${topic}__${group}__dlq`);
  }

  #physical(joined: string): string {
    const queue = `${this.#prefix}${escaped(joined)}${this.#suffix}`;
    if (queue.length <= MOST) return queue;
    throw new WaybillError(
      'invalid',
      `sqs: the queue name '${queue}' has ${queue.length} characters; allowed: ${MOST}. Shorten the topic, the group or the prefix`,
    );
  }
}

const escaped = (joined: string): string => joined.replaceAll('.', '_-');

/** A name of a message group that stands for this key and no other. */
export function groupOfKey(key: string): string {
  return legal.test(key) && !key.startsWith('~') ? key : `~k${hash(key)}`;
}

/** A message group for this message alone. */
export const groupOfMessage = (id: string): string => `~n${hash(id)}`;

/** A deduplication id that stands for this `sendId` and no other. */
export const dedupIdOf = (sendId: string): string =>
  legal.test(sendId) && !sendId.startsWith('~') ? sendId : `~${hash(sendId)}`;

function hash(text: string): string {
  return createHash('sha256').update(Buffer.from(text, 'utf8')).digest('hex');
}
