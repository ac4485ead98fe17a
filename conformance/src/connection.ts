import type { Delivery, Destination, Facts } from '@waybill/core/adapter';
import type { Recorder } from './recorder.ts';

/** What the recorder knows of one connection, shared by its adapter's and its bus's halves. */
export class Connection {
  readonly name: string;
  readonly recorder: Recorder;
  /** Names of the case's consumers by topic and group, so that both halves use one. */
  readonly consumers: Map<string, string> = new Map();
  /** The latest arrival of a message at a group; and of a client's message object, which several groups may share. */
  readonly #arrivals = new Map<string, number>();
  readonly #raws = new Map<string, WeakMap<object, number>>();
  readonly attachments: Set<{ heldBy(consumer: string): Delivery[] }> = new Set();
  /** What the broker said of itself when it was connected to. */
  facts: Facts = {};
  /** Its process is dead as far as the broker and the history can tell. */
  severed = false;

  constructor(name: string, recorder: Recorder) {
    this.name = name;
    this.recorder = recorder;
  }

  arrived(topic: string, group: string, id: string, raw: unknown, arrival: number): void {
    this.#arrivals.set(`${topic}/${group}/${id}`, arrival);
    if (typeof raw !== 'object' || raw === null) return;
    const place = `${topic}/${group}`;
    const raws = this.#raws.get(place) ?? new WeakMap<object, number>();
    this.#raws.set(place, raws.set(raw, arrival));
  }

  arrivalOf(topic: string, group: string, id: string, raw: unknown): number | null {
    const raws = this.#raws.get(`${topic}/${group}`);
    const known = typeof raw === 'object' && raw !== null ? raws?.get(raw) : undefined;
    return known ?? this.#arrivals.get(`${topic}/${group}/${id}`) ?? null;
  }
}

/** The topic's name as its user writes it: without the prefix. */
export function userTopic(destination: Destination): string {
  return destination.topic.split('___').at(-1) ?? destination.topic;
}
