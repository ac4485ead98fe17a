import {
  type Adapter,
  type AdapterSubscription,
  type Delivery,
  type Destination,
  freezeSupports,
  type OutgoingMessage,
  type SendOutcome,
  type SubscriptionSpec,
  type Supports,
} from '@waybill/core/adapter';

/** The same object with some members replaced; the others keep their own `this`. */
export function overlay<T extends object>(target: T, own: Partial<T>): T {
  return new Proxy(target, {
    get: (inner, name): unknown => {
      if (Object.hasOwn(own, name)) return Reflect.get(own, name);
      const value: unknown = Reflect.get(inner, name, inner);
      return typeof value === 'function' ? (value.bind(inner) as unknown) : value;
    },
  });
}

export type Send = (messages: readonly OutgoingMessage[], to?: Destination) => Promise<readonly SendOutcome[]>;

/** The adapter with another `publish`; `send` is its own. */
export function publishing(
  adapter: Adapter,
  publish: (
    messages: readonly OutgoingMessage[],
    send: Send,
    destination: Destination,
  ) => Promise<readonly SendOutcome[]>,
): Adapter {
  return overlay(adapter, {
    publish: (destination, messages, signal) =>
      publish(messages, (some, to = destination) => adapter.publish(to, some, signal), destination),
  });
}

/** The adapter that changes messages on their way out, those for destinations of this kind only. */
export function altering(
  adapter: Adapter,
  kind: Destination['kind'] | 'any',
  change: (message: OutgoingMessage) => OutgoingMessage,
): Adapter {
  return publishing(adapter, (messages, send, destination) =>
    send(kind === 'any' || destination.kind === kind ? messages.map(change) : messages),
  );
}

/** The adapter with subscriptions that have some members replaced, those to dead-letter topics excepted. */
export function subscribing(
  adapter: Adapter,
  members: (inner: AdapterSubscription, spec: SubscriptionSpec) => Partial<AdapterSubscription>,
): Adapter {
  return overlay(adapter, {
    subscribe: async (spec, signal) => {
      const inner = await adapter.subscribe(spec, signal);
      return spec.destination.kind === 'dead-letter' ? inner : overlay(inner, members(inner, spec));
    },
  });
}

/** The adapter that subscribes with another spec. */
export function respecifying(adapter: Adapter, change: (spec: SubscriptionSpec) => Partial<SubscriptionSpec>): Adapter {
  return overlay(adapter, { subscribe: (spec, signal) => adapter.subscribe({ ...spec, ...change(spec) }, signal) });
}

/** The adapter that changes what a receive brings. */
export function receiving(adapter: Adapter, change: (deliveries: Delivery[]) => Delivery[]): Adapter {
  return subscribing(adapter, (inner) => ({
    receive: async (...args) => change(await inner.receive(...args)),
  }));
}

/** The adapter under another manifest. */
export function claiming(adapter: Adapter, change: (supports: Supports) => Partial<Supports>): Adapter {
  const { supports } = adapter;
  return overlay(adapter, { supports: freezeSupports({ ...supports, ...change(supports) }) });
}

/** An aborted poll's stand-in: a signal that never fires. */
export function never(): AbortSignal {
  return new AbortController().signal;
}

export const confirmed: SendOutcome = { status: 'confirmed', position: null };
