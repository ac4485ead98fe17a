import { assemble } from './assembly.ts';
import type { Clock } from './clock.ts';
import type { ResolvedConfig } from './config-types.ts';
import type { Facts, Lag, StartPosition } from './contract.ts';
import { DeadLetters } from './dead-letters.ts';
import { WaybillError } from './errors.ts';
import type { BusEventName, BusEvents, Events } from './events.ts';
import { GroupClaims } from './group-claims.ts';
import { type Health, healthOf } from './health.ts';
import { installedManifests } from './load-adapter.ts';
import type { BatchHandler, Handler, Published } from './message.ts';
import { checkMiddleware, type Middleware } from './middleware.ts';
import { checkName } from './names.ts';
import { type Need, refusal, subscriptionNeeds, unmet } from './negotiation.ts';
import type { BatchSubscribeOptions, PublishOptions, SubscribeOptions } from './options.ts';
import { type Broker, type Place, Places } from './places.ts';
import { type Plan, resolvePlan } from './plan.ts';
import { checkHeld, planReplay, type ReplayOptions } from './replay.ts';
import { type PublishResult, Sending } from './sending.ts';
import { startPosition } from './start.ts';
import { Subscription } from './subscription.ts';
import { capability, type CapabilityPath, type Supports } from './supports.ts';
import type { AnyTopic, Topic } from './topic.ts';
import { uuidv7 } from './uuid.ts';

/** What `waybill doctor` shows. */
export interface Description {
  readonly config: ResolvedConfig;
  readonly brokers: Readonly<Record<string, { adapter: string; supports: Supports; facts: Facts }>>;
  readonly subscriptions: readonly Plan[];
}

export interface BusParts {
  readonly config: ResolvedConfig;
  readonly brokers: ReadonlyMap<string, Broker>;
  readonly events: Events;
  readonly clock: Clock;
  readonly random: () => number;
  readonly onClosed: () => void;
}

/** Inside, payloads have no type: the topic's codec and schema check them. */
const untyped = (topic: AnyTopic): Topic<unknown, unknown> => topic as Topic<unknown, unknown>;

/** A connected bus. Made by `connect`. Every method may be called at any time, several at once. */
export class Bus {
  readonly #parts: BusParts;
  readonly #places: Places;
  readonly #sending: Sending;
  readonly #subscriptions = new Set<Subscription>();
  readonly #groups = new GroupClaims();
  readonly #middlewares: Middleware[] = [];
  /** Tells this process's consumers from those of others. */
  readonly #instance = uuidv7().slice(-12);
  #consumers = 0;
  #closing: Promise<void> | null = null;

  /** @internal Use `connect`. */
  constructor(parts: BusParts) {
    this.#parts = parts;
    this.#places = new Places(parts.config, parts.brokers);
    this.#sending = new Sending({
      places: this.#places,
      events: parts.events,
      clock: parts.clock,
      source: parts.config.source,
      open: (what) => this.#open(what),
      refusalOf: (place) => this.#refusalOf(place),
    });
  }

  /**
   * Resolves when the broker is responsible for the message (P1). Rejects with a PublishError that says `rejected`
   * (stored nowhere) or `unknown` (may be stored), within the publish timeout. Waits for room while the buffer is full,
   * unless configured to reject (P6).
   */
  publish<T, I>(topic: Topic<T, I>, payload: NoInfer<I>, options?: PublishOptions): Promise<Published> {
    return this.#sending.publish(untyped(topic), payload, options);
  }

  /** One result per payload, in order. Rejects only when nothing was attempted: bus closed, or the topic refused. */
  publishMany<T, I>(
    topic: Topic<T, I>,
    payloads: readonly NoInfer<I>[],
    options: Omit<PublishOptions, 'id' | 'key'> = {},
  ): Promise<PublishResult[]> {
    return this.#sending.publishMany(untyped(topic), payloads, options);
  }

  /**
   * Best effort, synchronous, never throws: true when it was taken, false when it was dropped at once. Only for topics
   * declared `delivery: 'best-effort'`; drops are counted per reason and shown by `health` (P6).
   */
  offer<T, I>(topic: Topic<T, I>, payload: NoInfer<I>, options?: Omit<PublishOptions, 'signal'>): boolean {
    return this.#sending.offer(untyped(topic), payload, options, this.#closing !== null);
  }

  /**
   * Resolves when the group stands: what is published from then on reaches it (D1). Rejects, before anything is sent,
   * with one error that lists every need the broker does not meet (`unsupported`) or every bad option (`invalid`).
   */
  subscribe<T, I>(topic: Topic<T, I>, options: BatchSubscribeOptions, handler: BatchHandler<T>): Promise<Subscription>;
  subscribe<T, I>(topic: Topic<T, I>, options: SubscribeOptions, handler: Handler<T>): Promise<Subscription>;
  async subscribe<T, I>(
    topic: Topic<T, I>,
    options: SubscribeOptions | BatchSubscribeOptions,
    handler: Handler<T> | BatchHandler<T>,
  ): Promise<Subscription> {
    this.#open('subscribe');
    checkHandler(handler, `subscription '${topic.name}/${options.group}'`);
    const place = this.#places.of(untyped(topic));
    const { config } = this.#parts;
    const overrides = config.subscriptions[`${topic.name}/${options.group}`] ?? {};
    const { supports } = place.broker.link.adapter;
    const plan = resolvePlan(topic, options, overrides, supports, place.destination.partitions ?? 1);
    const needs = [...place.unmet, ...unmet(subscriptionNeeds(topic, plan, place.destination.partitions), supports)];
    if (needs.length > 0)
      throw await this.#refusal(`subscription '${plan.topic}/${plan.group}'`, distinct(needs), place.broker);
    const name = `${plan.topic}/${plan.group}`;
    this.#groups.claim(name, plan);
    try {
      return await this.#consume(place, plan, handler as Handler<unknown>, null, () => this.#groups.release(name));
    } catch (error) {
      this.#groups.release(name);
      throw error;
    }
  }

  /**
   * Reads a topic again, under a group of its own, up to what is stored when it starts (D8). Resolves with counts when
   * everything has been handled; a message that fails all its attempts is counted, not dead-lettered. Rejects with
   * `closed` when the bus is closed before its end.
   */
  async replay<T, I>(
    topic: Topic<T, I>,
    options: ReplayOptions,
    handler: Handler<T>,
  ): Promise<{ handled: number; failed: number; filtered: number }> {
    this.#open('replay');
    checkHandler(handler, `replay of '${topic.name}'`);
    const place = this.#places.of(untyped(topic));
    const { plan, start, needs, rate } = planReplay(place, options, this.#parts.clock.now());
    if (needs.length > 0) throw await this.#refusal(`replay of '${topic.name}'`, needs, place.broker);
    if (options.partial !== true) await checkHeld(place, start);
    const subscription = await this.#consume(place, plan, handler as Handler<unknown>, { rate }, () => undefined);
    await subscription.ended;
    const { handled, dropped, filtered } = subscription.counts;
    const cut = this.#closing !== null;
    await subscription.close();
    if (cut)
      throw new WaybillError(
        'closed',
        `replay of '${topic.name}': the bus was closed before its end, after ${handled} messages`,
      );
    return { handled, failed: dropped, filtered };
  }

  /** Published for the group and not settled (F5). @throws WaybillError `unsupported` where the broker can't tell. */
  async lag<T, I>(topic: Topic<T, I>, group: string): Promise<Lag> {
    this.#open('lag');
    checkName('group', group);
    const place = this.#places.of(untyped(topic));
    const { link } = place.broker;
    if (link.adapter.lag === undefined) throw await this.#refuse(place, 'lag', `lag of '${topic.name}/${group}'`);
    try {
      return await link.adapter.lag(place.destination, group, this.#places.groupAddress(topic.name, group));
    } catch (error) {
      throw link.wrap(error, `lag of '${topic.name}/${group}'`);
    }
  }

  /** Moves a stopped group. @throws WaybillError `invalid` while it runs, `unsupported` where the broker can't. */
  async reset<T, I>(topic: Topic<T, I>, group: string, to: StartPosition | Date): Promise<void> {
    this.#open('reset');
    checkName('group', group);
    const place = this.#places.of(untyped(topic));
    const { link } = place.broker;
    if (link.adapter.reset === undefined) throw await this.#refuse(place, 'reset', `reset of '${topic.name}/${group}'`);
    if (this.#groups.has(`${topic.name}/${group}`))
      throw new WaybillError(
        'invalid',
        `reset of '${topic.name}/${group}': the group runs in this process; close its subscription, or use subscription.seek`,
      );
    const position = startPosition(to, `reset of '${topic.name}/${group}': the position`);
    try {
      await link.adapter.reset(place.destination, group, this.#places.groupAddress(topic.name, group), position);
    } catch (error) {
      throw link.wrap(error, `reset of '${topic.name}/${group}'`);
    }
  }

  /** The dead-letter topic of one group of a topic. */
  dlq<T, I>(topic: Topic<T, I>, group: string): DeadLetters {
    this.#open('dlq');
    checkName('group', group);
    const place = this.#places.of(untyped(topic));
    const inbox = this.#places.inbox(place, group);
    return new DeadLetters({
      broker: place.broker,
      destination: this.#places.deadLetter(place, group),
      spec: this.#places.deadLetterSpec(place, group),
      inbox: place.broker.publisher.route(inbox, this.#places.withGroup(place, group, 'held')),
      consumer: this.#consumerName(),
    });
  }

  /** Adds middleware round handlers of subscriptions made later, and round publishes from now on. */
  use(middleware: Middleware): void {
    this.#open('use');
    checkMiddleware(middleware);
    this.#middlewares.push(middleware);
    this.#sending.use(this.#middlewares);
  }

  /** Listens to an event; returns how to stop. A listener that throws changes nothing and is reported as `error`. */
  on<K extends BusEventName>(name: K, listener: (event: BusEvents[K]) => void): () => void {
    return this.#parts.events.on(name, listener);
  }

  /** A snapshot; never throws, also after close. */
  health(): Health {
    return healthOf(this.#parts.brokers, this.#subscriptions, this.#closing !== null, this.#parts.clock.monotonic());
  }

  /** The effective configuration, for `doctor`. */
  describe(): Description {
    const brokers: Record<string, Description['brokers'][string]> = {};
    for (const [name, { link }] of this.#parts.brokers)
      brokers[name] = { adapter: link.adapter.name, supports: link.adapter.supports, facts: link.facts };
    return {
      config: this.#parts.config,
      brokers,
      subscriptions: [...this.#subscriptions].map(({ options }) => options),
    };
  }

  /** @internal Checks a topic's needs and provisions it, as `connect(config, { topics })` does. */
  async prepare(topic: AnyTopic): Promise<void> {
    const place = this.#places.of(untyped(topic));
    if (place.unmet.length > 0) throw await this.#refusalOf(place);
    await place.broker.link.provision(place.spec);
  }

  /** Ends all subscriptions gracefully and waits for every publish to have an outcome. The same as `close`. */
  drain(): Promise<void> {
    return this.close();
  }

  /** Drains, then closes all connections. Every call after it is refused with `closed` (L3). Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #consume(
    place: Place,
    plan: Plan,
    handler: Handler<unknown>,
    replay: { readonly rate: number | null } | null,
    onClosed: () => void,
  ): Promise<Subscription> {
    const { events, clock, random } = this.#parts;
    const { consumer, dispatcher } = assemble({
      place,
      places: this.#places,
      plan,
      handler,
      middlewares: this.#middlewares,
      replay,
      name: this.#consumerName(),
      events,
      clock,
      random,
      publish: this.publish.bind(this),
      hold: (topic, payload, options, keep) => this.#sending.hold(untyped(topic), payload, options, place, keep),
      onStop: () => void subscription.close(),
    });
    const subscription: Subscription = new Subscription(plan, consumer, dispatcher, {
      lag: () => this.lag(place.topic, plan.group),
      refuse: (path, why) => this.#refuse(place, path, why),
      canSeek: place.broker.link.adapter.supports.seek.by !== 'refused',
      forget: (one) => {
        if (this.#subscriptions.delete(one)) onClosed();
      },
    });
    this.#subscriptions.add(subscription);
    try {
      await consumer.open();
    } catch (error) {
      this.#subscriptions.delete(subscription);
      throw error;
    }
    return subscription;
  }

  #refuse(place: Place, path: CapabilityPath, why: string): Promise<WaybillError> {
    const met = (supports: Supports): boolean => capability(supports, path).by !== 'refused';
    return this.#refusal(why, [{ path, why, met }], place.broker);
  }

  #refusalOf({ topic, unmet: needs, broker }: Place): Promise<WaybillError> {
    return this.#refusal(`topic '${topic.name}'`, needs, broker);
  }

  async #refusal(where: string, needs: readonly Need[], broker: Broker): Promise<WaybillError> {
    return refusal(where, needs, broker.link.adapter.name, await installedManifests(this.#parts.config.adapters));
  }

  #consumerName(): string {
    return `${this.#parts.config.source ?? 'waybill'}-${this.#instance}-${++this.#consumers}`;
  }

  #open(what: string): void {
    if (this.#closing !== null) throw new WaybillError('closed', `${what} after close`);
  }

  async #close(): Promise<void> {
    const { brokers, events, onClosed } = this.#parts;
    let unsettled = 0;
    await Promise.all(
      [...this.#subscriptions].map(async (subscription) => {
        await subscription.close();
        unsettled += subscription.held;
      }),
    );
    await Promise.all([...brokers.values()].map(({ publisher }) => publisher.close()));
    events.emit('drained', { unsettled });
    await Promise.all([...brokers.values()].map(({ link }) => link.close()));
    events.emit('closed', {});
    onClosed();
  }
}

function distinct(needs: readonly Need[]): Need[] {
  const seen = new Set<string>();
  return needs.filter(({ path, why }) => !seen.has(`${path} ${why}`) && seen.add(`${path} ${why}`) !== undefined);
}

function checkHandler(handler: unknown, where: string): void {
  if (typeof handler !== 'function')
    throw new WaybillError('invalid', `${where}: the handler is ${typeof handler}; allowed: a function`);
}
