import type { ResolvedConfig, ResolvedTopic } from './config-types.ts';
import { topicConfigOf } from './config.ts';
import type { Destination, ProvisionSpec, StartPosition } from './contract.ts';
import { WaybillError } from './errors.ts';
import type { Link } from './link.ts';
import { deadLetterName, inboxName, joinTopic } from './names.ts';
import { type Need, topicNeeds, unmet } from './negotiation.ts';
import { DEFAULTS } from './options.ts';
import type { Publisher } from './publisher.ts';
import type { Route } from './route.ts';
import type { Topic } from './topic.ts';

/** The group that holds a dead-letter topic's messages. */
export const DEAD_LETTER_GROUP = 'dlq';

/** One broker of a bus. */
export interface Broker {
  readonly link: Link;
  readonly publisher: Publisher;
}

/** Where one topic of a bus is: its broker, its destination there, and the way to it. */
export interface Place {
  readonly topic: Topic<unknown, unknown>;
  readonly config: ResolvedTopic;
  readonly broker: Broker;
  readonly destination: Destination;
  readonly spec: ProvisionSpec;
  readonly route: Route;
  /** What the topic needs and its broker does not keep: every use is refused. */
  readonly unmet: readonly Need[];
}

/** Turns topics and groups into destinations and provisioning, once each. */
export class Places {
  readonly #config: ResolvedConfig;
  readonly #brokers: ReadonlyMap<string, Broker>;
  readonly #places = new Map<string, Place>();

  constructor(config: ResolvedConfig, brokers: ReadonlyMap<string, Broker>) {
    this.#config = config;
    this.#brokers = brokers;
  }

  /** @throws WaybillError `invalid` when another topic object of this name means something else. */
  of(topic: Topic<unknown, unknown>): Place {
    const known = this.#places.get(topic.name);
    if (known === undefined) return this.#add(topic);
    if (known.topic === topic) return known;
    const differs = (['ordered', 'bestEffort', 'onKeyFailure'] as const).find(
      (field) => known.topic[field] !== topic[field],
    );
    if (differs === undefined) return { ...known, topic };
    throw new WaybillError(
      'invalid',
      `two declarations of topic '${topic.name}' differ in ${differs}: ${String(known.topic[differs])} and ${String(topic[differs])}`,
    );
  }

  inbox(place: Pick<Place, 'destination'>, group: string): Destination {
    const { topic, partitions, ordered } = place.destination;
    return { kind: 'inbox', name: inboxName(topic, group), topic, group, partitions, ordered, address: null };
  }

  deadLetter(place: Place, group: string): Destination {
    const { topic } = place.destination;
    return {
      kind: 'dead-letter',
      name: deadLetterName(topic, group),
      topic,
      group,
      partitions: null,
      ordered: false,
      address: null,
    };
  }

  /** The topic together with one group and its inbox. */
  withGroup(place: Place, group: string, start: StartPosition): ProvisionSpec {
    return { ...place.spec, groups: [this.#group(place, group, start)] };
  }

  deadLetterSpec(place: Place, group: string): ProvisionSpec {
    return {
      topology: this.#config.topology,
      destination: this.deadLetter(place, group),
      retention: null,
      groups: [{ group: DEAD_LETTER_GROUP, address: null, start: 'held', inbox: null }],
    };
  }

  groupAddress(topic: string, group: string): string | null {
    return this.#config.subscriptions[`${topic}/${group}`]?.address ?? null;
  }

  #add(topic: Topic<unknown, unknown>): Place {
    const config = topicConfigOf(this.#config, topic.name);
    const broker = this.#brokers.get(config.broker) as Broker;
    const { supports } = broker.link.adapter;
    const counted = topic.ordered && supports.order.key.partitions === 'counted';
    const name = joinTopic(this.#config.prefix, topic.name);
    const destination: Destination = {
      kind: 'topic',
      name,
      topic: name,
      group: null,
      partitions: counted ? (config.partitions ?? DEFAULTS.partitions) : null,
      ordered: topic.ordered,
      address: config.address,
    };
    const bare: ProvisionSpec = {
      topology: this.#config.topology,
      destination,
      retention: config.retention,
      groups: [],
    };
    const partial = { topic, config, broker, destination, spec: bare };
    const groups = config.groups.map((group) =>
      this.#group(partial, group, this.#config.subscriptions[`${topic.name}/${group}`]?.start ?? 'held'),
    );
    const spec: ProvisionSpec = { ...bare, groups };
    const place: Place = {
      ...partial,
      spec,
      route: broker.publisher.route(destination, spec),
      unmet: unmet(topicNeeds(topic, config), supports),
    };
    this.#places.set(topic.name, place);
    return place;
  }

  #group(
    place: Pick<Place, 'topic' | 'destination'>,
    group: string,
    start: StartPosition,
  ): ProvisionSpec['groups'][number] {
    return { group, address: this.groupAddress(place.topic.name, group), start, inbox: this.inbox(place, group) };
  }
}
