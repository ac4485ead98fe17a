import type { Clock } from './clock.ts';
import type { Output } from './contract.ts';
import { asPublishError, encode } from './encoding.ts';
import { type PublishError, WaybillError } from './errors.ts';
import type { Events } from './events.ts';
import type { Published } from './message.ts';
import { composePublish, type Middleware } from './middleware.ts';
import type { PublishOptions } from './options.ts';
import { makeOutput } from './output.ts';
import type { Place, Places } from './places.ts';
import type { Topic } from './topic.ts';
import { uuidv7 } from './uuid.ts';

/** What became of one payload of `publishMany`. */
export type PublishResult =
  | ({ readonly status: 'confirmed' } & Published)
  | { readonly status: 'rejected' | 'unknown'; readonly id: string; readonly error: PublishError };

/** Inside, payloads have no type: the topic's codec and schema check them. */
type UntypedTopic = Topic<unknown, unknown>;

export interface SendingOptions {
  readonly places: Places;
  readonly events: Events;
  readonly clock: Clock;
  readonly source: string | null;
  /** @throws WaybillError `closed` when the bus is. */
  readonly open: (what: string) => void;
  /** The error for a topic that its broker does not keep as it needs. */
  readonly refusalOf: (place: Place) => Promise<WaybillError>;
}

/** Everything that a bus's users publish: by the bus, or by the context of a transaction. */
export class Sending {
  readonly #options: SendingOptions;
  #run: ReturnType<typeof composePublish> = null;

  constructor(options: SendingOptions) {
    this.#options = options;
  }

  /** Puts these round what is published from now on. */
  use(middlewares: readonly Middleware[]): void {
    this.#run = composePublish(middlewares);
  }

  publish(topic: UntypedTopic, payload: unknown, options: PublishOptions | undefined): Promise<Published> {
    const wrapped = this.#run;
    if (wrapped === null) return this.#publish(topic, payload, options);
    // A middleware may add headers; what is published, and where, stays the caller's.
    return wrapped({ topic: topic.name, payload, options: options ?? {} }, (call) =>
      this.#publish(topic, payload, call.options),
    );
  }

  async publishMany(
    topic: UntypedTopic,
    payloads: readonly unknown[],
    options: PublishOptions,
  ): Promise<PublishResult[]> {
    const { places, open, refusalOf } = this.#options;
    open('publishMany');
    const place = places.of(topic);
    if (place.unmet.length > 0) throw await refusalOf(place);
    const results = payloads.map((payload) =>
      this.publish(topic, payload, { ...options }).then(
        (published): PublishResult => ({ status: 'confirmed', ...published }),
        (error: unknown): PublishResult => {
          const failure = asPublishError(error, '');
          return { status: failure.outcome, id: failure.id, error: failure };
        },
      ),
    );
    return Promise.all(results);
  }

  offer(topic: UntypedTopic, payload: unknown, options: PublishOptions | undefined, closed: boolean): boolean {
    const { places, events, clock, source } = this.#options;
    try {
      const place = places.of(topic);
      const { publisher } = place.broker;
      if (closed) return publisher.drop(topic.name, 'closed');
      if (!topic.bestEffort || place.unmet.length > 0) return publisher.drop(topic.name, 'failed');
      const message = encode(place, payload, options, clock, source);
      if (message instanceof Promise) {
        void message.catch(() => undefined);
        return publisher.drop(topic.name, 'failed'); // a schema that must be awaited can't be checked here
      }
      return publisher.offer(place.route, message, topic.name, topic.buffer, topic.overflow);
    } catch (error) {
      const failure = WaybillError.is(error) ? error : new WaybillError('invalid', String(error), { cause: error });
      events.emit('error', { where: `offer to '${topic.name}'`, error: failure });
      return false;
    }
  }

  /** What a handler of `home` publishes in its transaction: all that `publish` checks, and nothing is sent. */
  hold(
    topic: UntypedTopic,
    payload: unknown,
    options: PublishOptions = {},
    home: Place,
    keep: (output: Output) => void,
  ): Promise<Published> {
    const { places, clock, source, refusalOf } = this.#options;
    const make = async (given: PublishOptions): Promise<Published> => {
      const id = given.id ?? uuidv7();
      try {
        const place = places.of(topic);
        if (place.unmet.length > 0) throw await refusalOf(place);
        keep(await makeOutput(place, home, payload, { ...given, id }, clock, source));
        return { id };
      } catch (error) {
        throw asPublishError(error, id);
      }
    };
    const wrapped = this.#run;
    if (wrapped === null) return make(options);
    return wrapped({ topic: topic.name, payload, options }, (call) => make(call.options));
  }

  #publish(topic: UntypedTopic, payload: unknown, options: PublishOptions | undefined): Promise<Published> {
    const { places, clock, source, open } = this.#options;
    const id = options?.id ?? '';
    try {
      open('publish');
      const place = places.of(topic);
      if (place.unmet.length > 0) return this.#rejectUnmet(place, id);
      const message = encode(place, payload, options, clock, source);
      const guards = topic.ordered && topic.onKeyFailure === 'reject';
      if (!(message instanceof Promise))
        return place.broker.publisher.publish(place.route, message, guards, options?.signal);
      return message.then((late) => place.broker.publisher.publish(place.route, late, guards, options?.signal));
    } catch (error) {
      return Promise.reject(asPublishError(error, id || uuidv7()));
    }
  }

  async #rejectUnmet(place: Place, id: string): Promise<never> {
    throw asPublishError(await this.#options.refusalOf(place), id || uuidv7());
  }
}
