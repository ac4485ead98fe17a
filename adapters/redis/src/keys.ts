import { type Destination, WaybillError } from '@waybill/core/adapter';

/** One stream and what belongs to it. All of it has one hash tag, so that a script may touch all of it. */
export interface StreamKeys {
  readonly stream: string;
  /** Sorted set of messages that are held back: score = due time by the server's clock. */
  readonly due: string;
  /** Begins the names of dedup marks; the `sendId` follows. */
  readonly dedup: string;
  /** Hash with the `retention` that was asked for. */
  readonly settings: string;
}

/** What makes one consumer the owner of a partition: under the hash tag of the partition's streams. */
export interface LeaseKeys {
  /** `<consumer>#<instance>:<epoch>` of the owner, with a time to live. */
  readonly lease: string;
  /** The last epoch given; it only grows. */
  readonly epoch: string;
}

/**
 * Every key of this adapter. A topic without partitions has one hash tag, `{orders}`; one with partitions has a tag each,
 * `{orders__12__3}`, and a group's inbox always has the tag of the stream that it belongs to.
 */
export class Layout {
  readonly #prefix: string;
  /** Topics that are another program's streams. An inbox does not say so, and is to lie beside its topic. */
  readonly #addresses = new Map<string, string>();

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  /** The streams of a destination, one per partition. */
  streams(destination: Destination): StreamKeys[] {
    return Array.from({ length: destination.partitions ?? 1 }, (_, partition) => this.stream(destination, partition));
  }

  stream(destination: Destination, partition: number): StreamKeys {
    const base = this.#base(destination, partition);
    const { group } = destination;
    if (destination.kind === 'inbox')
      return {
        stream: `${base}:inbox:${group}`,
        due: `${base}:due:${group}`,
        dedup: `${base}:dedup:inbox:${group}:`,
        settings: `${base}:settings:${group}`,
      };
    return {
      stream: destination.address ?? `${base}:stream`,
      due: `${base}:due`,
      dedup: `${base}:dedup:stream:`,
      settings: `${base}:settings`,
    };
  }

  lease(destination: Destination, partition: number, group: string): LeaseKeys {
    const base = this.#base(destination, partition);
    return { lease: `${base}:lease:${group}`, epoch: `${base}:epoch:${group}` };
  }

  /** Sorted set of a group's live consumers. */
  members(destination: Destination, group: string): string {
    if (destination.partitions === null) return `${this.#base(destination, 0)}:members:${group}`;
    return `${this.#prefix}{${destination.topic}__${destination.partitions}}:members:${group}`;
  }

  /** The recorded number of partitions (O7). */
  partitions({ topic }: Destination): string {
    return `${this.#prefix}{${topic}}:partitions`;
  }

  #base(destination: Destination, partition: number): string {
    const { kind, name, topic, partitions } = destination;
    const own = kind === 'inbox' ? topic : name;
    const address = kind === 'inbox' ? (this.#addresses.get(topic) ?? null) : destination.address;
    if (partitions !== null) {
      if (address === null) return `${this.#prefix}{${own}__${partitions}__${partition}}`;
      throw new WaybillError(
        'unsupported',
        `redis: '${topic}' is ordered, so it has ${partitions} streams, which the address '${address}' can't name`,
      );
    }
    if (address === null) return `${this.#prefix}{${own}}`;
    if (kind === 'topic') this.#addresses.set(topic, address);
    const [, tag] = /\{([^}]+)\}/.exec(address) ?? [];
    if (tag !== undefined) return `${this.#prefix}{${tag}}:${address}`;
    if (!/[{}]/.test(address)) return `${this.#prefix}{${address}}`;
    throw new WaybillError('invalid', `address '${address}' of '${name}' has braces that are no hash tag`);
  }
}
