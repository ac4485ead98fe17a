import { Attachment } from './attachment.ts';
import { Budget } from './budget.ts';
import type { AdapterSubscription, Delivery, ProvisionSpec, StartPosition, SubscriptionSpec } from './contract.ts';
import type { Dispatcher } from './dispatcher.ts';
import { ERROR_CODES, WaybillError } from './errors.ts';
import type { Events } from './events.ts';
import type { Held } from './held.ts';
import type { Link } from './link.ts';
import type { Plan } from './plan.ts';
import { Watch } from './watch.ts';

export interface ConsumerOptions {
  readonly plan: Plan;
  readonly link: Link;
  readonly events: Events;
  readonly dispatcher: Dispatcher;
  readonly spec: Omit<SubscriptionSpec, 'onRevoked' | 'onLost' | 'onAssigned'>;
  /** What must stand before it can subscribe: the topic with this group, the dead-letter topic. */
  readonly provision: readonly ProvisionSpec[];
  /** Replay: most messages per second. */
  readonly rate: number | null;
}

export type ConsumerState = 'opening' | 'subscribed' | 'resubscribing' | 'paused' | 'draining' | 'stopped' | 'closed';

/** How long nothing may move behind held keys before a partition counts as stuck (O4). */
const PATIENCE = 50;
const RESUBSCRIBE_MIN = 100;
const RESUBSCRIBE_MAX = 10_000;

/**
 * The receive loop of one subscription: opens an attachment, asks for as much as there is credit, opens another when it
 * has ended, and drains. What becomes of a delivery is the dispatcher's business.
 */
export class Consumer {
  readonly #options: ConsumerOptions;
  readonly #budget: Budget;
  readonly #watch: Watch;
  readonly #stop = new AbortController();
  #state: ConsumerState = 'opening';
  #attachment: Attachment | null = null;
  #wake: (() => void) | null = null;
  #woken = false;
  #life: Promise<void> = Promise.resolve();
  #closing: Promise<void> | null = null;
  #paused = false;
  #draining = false;
  /** Ends the wait of a `receive` under way; what its poll still brings is collected and goes back. */
  #poll = new AbortController();
  /** A `receive` that was begun before the deliveries of the one before were. */
  #ahead: Promise<Delivery[] | null> | null = null;
  #heldBack = new Set<number>();
  #lastReceive: number | null = null;
  readonly #ended: Promise<void>;
  #end!: () => void;

  constructor(options: ConsumerOptions) {
    this.#options = options;
    const { plan, link, dispatcher, rate } = options;
    this.#budget = new Budget({ plan, clock: link.clock, dispatcher, rate, onCredit: () => this.wake() });
    this.#watch = new Watch(link.clock);
    this.#ended = new Promise((resolve) => (this.#end = resolve));
  }

  get state(): ConsumerState {
    return this.#paused && this.#state === 'subscribed' ? 'paused' : this.#state;
  }

  /** Deliveries held, those that a poll under way may bring included (F1). */
  get held(): number {
    const attachment = this.#attachment;
    return attachment === null ? 0 : attachment.held.size + attachment.subscription.reserved;
  }

  get lastReceive(): number | null {
    return this.#lastReceive;
  }

  /** Resolves when the subscription stands; rejects when it can't. */
  open(): Promise<void> {
    return new Promise((resolve, reject) => {
      const unwatch = this.#options.link.onLost(() => this.#dropped());
      this.#life = this.#live(resolve, reject).finally(unwatch);
    });
  }

  /** A bounded subscription: everything was handed out and has ended. */
  get ended(): Promise<void> {
    return this.#ended;
  }

  pause(): void {
    this.#paused = true;
    this.#options.dispatcher.halt();
    this.#poll.abort();
  }

  resume(): void {
    if (this.#draining) return;
    this.#paused = false;
    this.#options.dispatcher.resume();
    this.wake();
  }

  /** Credit has changed. Cheap, and called often. */
  wake(): void {
    this.#woken = true;
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
  }

  /** Unstarted deliveries are dropped and the group goes on from there; running handlers can no longer settle. */
  async seek(to: StartPosition): Promise<void> {
    const attachment = this.#attachment;
    if (attachment === null || !attachment.alive)
      throw new WaybillError('unavailable', `seek of '${this.#what}': it is not subscribed at present`);
    await attachment.flush();
    attachment.lose(() => true);
    attachment.forget();
    try {
      await attachment.subscription.seek?.(to);
    } catch (error) {
      throw this.#options.link.wrap(error, `seek of '${this.#what}'`);
    }
    this.wake();
  }

  /**
   * Ends it: no new handler starts, unstarted deliveries go back, running ones finish up to the deadline, acks are
   * confirmed (L2). Idempotent.
   */
  close(deadline: number): Promise<void> {
    this.#closing ??= this.#close(deadline);
    return this.#closing;
  }

  get #what(): string {
    return `${this.#options.plan.topic}/${this.#options.plan.group}`;
  }

  async #live(opened: () => void, refused: (error: WaybillError) => void): Promise<void> {
    const { link, events, plan } = this.#options;
    let failures = 0;
    let opening = true;
    while (!this.#stop.signal.aborted) {
      let attachment: Attachment | null = null;
      try {
        await this.#ableToRun();
        await this.#unlessStopped(this.#stand());
        attachment = await this.#attach();
        this.#state = 'subscribed';
        events.emit('subscribed', { topic: plan.topic, group: plan.group });
        opening = false;
        opened();
        await this.#receiveAll(attachment, () => (failures = 0));
        if (attachment.subscription.ended === true) {
          this.#end();
          break;
        }
        if (this.#state === 'subscribed') this.#state = 'resubscribing';
      } catch (error) {
        if (this.#stop.signal.aborted) break;
        const wrapped = link.wrap(error, `subscription '${this.#what}'`);
        if (opening && !ERROR_CODES[wrapped.code].retriable) {
          this.#state = 'closed';
          refused(wrapped);
          this.#end();
          return;
        }
        this.#state = 'resubscribing';
        link.noticed(wrapped);
        // What was there may be gone (a deleted queue, a flushed server): provision again before subscribing again.
        link.forgetProvisioned();
        const delay = Math.min(RESUBSCRIBE_MAX, RESUBSCRIBE_MIN * 2 ** failures++) * (0.5 + 0.5 * link.random());
        events.emit('resubscribing', { topic: plan.topic, group: plan.group, error: wrapped, delay });
        await this.#retire(attachment);
        await this.#unlessStopped(link.pause(delay)).catch(() => undefined);
      }
    }
    refused(new WaybillError('closed', `subscription '${this.#what}' was closed while it was opened`));
  }

  /** While none of its handlers ends, what it would be handed is for others (R12). */
  async #ableToRun(): Promise<void> {
    while (this.#options.dispatcher.stuck && !this.#stop.signal.aborted) await this.#change(null);
  }

  /** The connection and everything that the subscription needs at the broker. */
  async #stand(): Promise<void> {
    const { link, provision } = this.#options;
    const waiting = link.ready();
    if (waiting !== null) await waiting;
    for (const spec of provision) await link.provision(spec);
  }

  /** A close must not wait for a broker that is away. */
  #unlessStopped<T>(promise: Promise<T>): Promise<T> {
    const { signal } = this.#stop;
    return new Promise((resolve, reject) => {
      const stop = (): void => reject(new WaybillError('closed', `subscription '${this.#what}' is closed`));
      signal.addEventListener('abort', stop, { once: true });
      promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
      if (signal.aborted) stop();
    });
  }

  async #attach(): Promise<Attachment> {
    const { link, spec, plan } = this.#options;
    let attachment: Attachment | null = null;
    const subscription = await link.adapter.subscribe(
      {
        ...spec,
        onAssigned: (partitions) => this.#options.events.emit('assigned', { ...this.#names(), partitions }),
        onRevoked: (partitions) => (attachment === null ? Promise.resolve() : this.#revoked(attachment, partitions)),
        onLost: (partitions) => {
          if (attachment !== null) this.#lostPartitions(attachment, partitions);
        },
      },
      this.#stop.signal,
    );
    attachment = new Attachment(
      subscription,
      link,
      {
        freed: () => this.changed(),
        leaseLost: (held, was) => this.#leaseLost(held, was),
        broken: (error) => this.#broken(subscription, error),
      },
      plan.lease,
      `'${this.#what}'`,
    );
    this.#attachment = attachment;
    return attachment;
  }

  async #receiveAll(attachment: Attachment, onAnswer: () => void): Promise<void> {
    const { subscription } = attachment;
    this.#ahead = null;
    while (!this.#stop.signal.aborted && attachment.alive) {
      if (this.#options.dispatcher.stuck && !this.#draining) {
        await attachment.flush(); // nothing that still runs can settle more
        throw new WaybillError(
          'timeout',
          'its handlers have outrun their timeout and their lease, all of them; until one ends, others get its messages',
        );
      }
      const asked = this.#ahead ?? this.#receive(attachment, 0);
      this.#ahead = null;
      const deliveries = await asked;
      if (deliveries === null) continue;
      onAnswer();
      this.#lastReceive = this.#options.link.clock.monotonic();
      this.#watch.changed();
      if (deliveries.length > 0) await this.#admit(attachment, deliveries);
      else if (subscription.ended === true && attachment.held.size === 0) return;
      else if (subscription.ended === true) await this.#change(null);
    }
  }

  /** @param coming Deliveries that are held, and that the dispatcher has not seen yet. Null: there is no credit. */
  async #receive(attachment: Attachment, coming: number): Promise<Delivery[] | null> {
    const { subscription } = attachment;
    const { dispatcher } = this.#options;
    // Nothing more is wanted, but a poll under way may still bring something: it must not be abandoned.
    const wanted = this.#paused || this.#draining ? subscription.reserved : this.#budget.credit(attachment, coming);
    const stuck = wanted > 0 && !this.#draining ? dispatcher.stuckPartitions(PATIENCE) : null;
    this.#reportHeldBack(stuck);
    if (wanted <= 0 || (stuck === null && dispatcher.crowded(PATIENCE))) {
      await this.#change(wanted > 0 ? PATIENCE : null);
      return null;
    }
    if (this.#poll.signal.aborted) this.#poll = new AbortController();
    return subscription.receive(wanted, this.#poll.signal, stuck ?? undefined);
  }

  async #admit(attachment: Attachment, deliveries: readonly Delivery[]): Promise<void> {
    const { plan, dispatcher, link } = this.#options;
    const suspects = this.#budget.suspects(attachment, deliveries);
    const keys = plan.ordered ? new Set<string>() : null;
    const batch = deliveries.map((delivery) => {
      const key = this.#laneOf(delivery);
      const first = key === null || keys === null || !keys.has(key);
      if (key !== null && delivery.deliveryCount !== null) keys?.add(key);
      return attachment.hold(delivery, key, first);
    });
    // What can't be given back stays held through a pause: dropped here, it would only come again on another attachment.
    const returned = this.#paused && attachment.subscription.nack !== undefined;
    if (suspects || this.#draining || returned || !attachment.alive) {
      await this.#giveBack(attachment, batch);
      return;
    }
    // More than can be handled at once: the next are asked for before these are begun, and come meanwhile.
    if (batch.length > plan.concurrency && !this.#paused && this.#budget.credit(attachment, batch.length) > 0) {
      this.#ahead = this.#receive(attachment, batch.length);
      this.#ahead.catch(() => undefined); // the loop comes to it
    }
    dispatcher.admit(batch, link.clock.monotonic());
  }

  /**
   * Its key, where order is kept. A commit that settles one message settles all before it in its partition, so where it
   * comes before the handler (D4) the partition is the lane: else one of another key, not begun yet, would be lost.
   */
  #laneOf(delivery: Delivery): string | null {
    const { plan, link } = this.#options;
    if (!plan.ordered) return null;
    if (!plan.atMostOnce || link.adapter.supports.settle.mode !== 'cumulative') return delivery.key;
    return `${delivery.origin} ${delivery.partition}`;
  }

  async #giveBack(attachment: Attachment, batch: readonly Held[]): Promise<void> {
    for (const held of batch) this.#options.dispatcher.withdraw(held);
    await attachment.giveBack(batch);
  }

  #change(patience: number | null): Promise<void> {
    if (this.#woken) {
      this.#woken = false;
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      const timer = patience === null ? null : this.#options.link.clock.setTimer(() => this.wake(), patience);
      this.#wake = () => {
        timer?.cancel();
        this.#woken = false;
        resolve();
      };
    });
  }

  #reportHeldBack(stuck: ReadonlySet<number> | null): void {
    if (stuck === null) {
      if (this.#heldBack.size > 0) this.#heldBack = new Set();
      return;
    }
    for (const partition of stuck)
      if (!this.#heldBack.has(partition))
        this.#options.events.emit('held-back', {
          ...this.#names(),
          partition,
          waiting: this.#options.dispatcher.waitingOf(partition),
        });
    this.#heldBack = new Set(stuck);
  }

  /** Orderly: the lanes of these partitions stop, running handlers end, what they settled is committed (O3). */
  async #revoked(attachment: Attachment, partitions: readonly number[]): Promise<void> {
    const gone = new Set(partitions);
    // What a receive has just returned is held only some microtasks later: without this it would run beside its new owner.
    await new Promise((resolve) => setImmediate(resolve));
    const unstarted = [...attachment.held].filter((held) => held.unstarted && gone.has(held.delivery.partition));
    const back = this.#giveBack(attachment, unstarted);
    const settled = (): boolean =>
      !attachment.alive || ![...attachment.held].some((held) => gone.has(held.delivery.partition));
    await this.#watch.until(settled, this.#options.plan.drain);
    await attachment.flush();
    await back;
    const forced = this.#lostPartitions(attachment, partitions);
    this.#options.events.emit('revoked', { ...this.#names(), partitions, forced });
  }

  #lostPartitions(attachment: Attachment, partitions: readonly number[]): boolean {
    const gone = new Set(partitions);
    let forced = false;
    attachment.lose((held) => {
      if (!gone.has(held.delivery.partition)) return false;
      forced = true;
      return true;
    });
    attachment.forget(partitions);
    return forced;
  }

  /** The dispatcher or the attachment has changed something. */
  changed(): void {
    this.#watch.changed();
    this.wake();
  }

  #leaseLost(held: Held, was: Held['state']): void {
    const { events, dispatcher } = this.#options;
    dispatcher.lost(held, was);
    if (!this.#draining && events.has('lease-lost'))
      events.emit('lease-lost', { ...this.#names(), id: held.delivery.id, key: held.delivery.key });
    queueMicrotask(() => dispatcher.pump());
  }

  /** An ack or give-back failed as a whole: nobody knows what the broker has, so this attachment ends. */
  #broken(subscription: AdapterSubscription, error: WaybillError): void {
    const attachment = this.#attachment;
    if (attachment?.subscription !== subscription || !attachment.alive) return; // that it ends is known already
    // A lost connection is the link's to tell, once for all that it breaks.
    const { retriable, reconnect } = ERROR_CODES[error.code];
    if (!retriable || error.code === 'unclassified')
      this.#options.events.emit('error', { where: `subscription '${this.#what}'`, error });
    else if (!reconnect) this.#options.events.emit('resubscribing', { ...this.#names(), error, delay: 0 });
    this.#options.link.noticed(error);
    void subscription.close().catch(() => undefined);
    attachment.retire();
    this.wake();
  }

  /** The connection is lost, and this attachment with it, though a full prefetch asks it for nothing and would not see. */
  #dropped(): void {
    const attachment = this.#attachment;
    if (attachment === null || !attachment.alive) return;
    attachment.retire();
    void attachment.subscription.close().catch(() => undefined);
    this.wake();
  }

  async #retire(attachment: Attachment | null): Promise<void> {
    if (attachment === null) return;
    attachment.retire();
    if (this.#attachment === attachment) this.#attachment = null;
    await this.#quietly(attachment.subscription.close());
  }

  async #close(deadline: number): Promise<void> {
    const { dispatcher } = this.#options;
    const wasOpen = this.#state !== 'closed';
    this.#state = 'draining';
    this.#draining = true;
    dispatcher.halt();
    this.#poll.abort();
    this.wake();
    const attachment = this.#attachment;
    if (wasOpen && attachment !== null && attachment.alive) {
      await this.#giveBack(
        attachment,
        [...attachment.held].filter((held) => held.unstarted),
      );
      await Promise.race([this.#drain(attachment, deadline), this.#life]);
    }
    this.#stop.abort();
    this.wake();
    this.#budget.close();
    await this.#life;
    await this.#retire(this.#attachment);
    dispatcher.close();
    this.#state = 'closed';
    this.#end();
  }

  async #drain(attachment: Attachment, deadline: number): Promise<void> {
    const { stopDelay } = this.#options.link.adapter.supports.receive;
    const noMore = this.#watch.until(
      () => attachment.subscription.reserved === 0 || !attachment.alive,
      stopDelay + 1_000,
    );
    await this.#watch.until(() => attachment.held.size === 0 || !attachment.alive, deadline);
    await noMore;
    // The deadline has passed for these: their signals fire, and what they still do settles nothing.
    attachment.lose((held) => held.state !== 'settling');
    await attachment.flush();
  }

  async #quietly(closing: Promise<void>): Promise<void> {
    try {
      await closing;
    } catch (error) {
      this.#options.events.emit('error', {
        where: `close of '${this.#what}'`,
        error: this.#options.link.wrap(error, `close of '${this.#what}'`),
      });
    }
  }

  #names(): { topic: string; group: string } {
    return { topic: this.#options.plan.topic, group: this.#options.plan.group };
  }
}
