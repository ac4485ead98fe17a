import type { Adapter, AdapterSubscription } from '@waybill/core/adapter';

/** The same adapter with some methods replaced. All else passes, the optional methods included. */
export function tampered(adapter: Adapter, own: Partial<Adapter>): Adapter {
  return overlay(adapter, own);
}

/** The same adapter, whose subscriptions have some methods replaced. */
export function tamperedSubscriptions(
  adapter: Adapter,
  change: (inner: AdapterSubscription) => Partial<AdapterSubscription>,
): Adapter {
  return overlay(adapter, {
    subscribe: async (spec, signal) => {
      const inner = await adapter.subscribe(spec, signal);
      // The dead-letter topic is read for redrives only.
      return spec.destination.kind === 'dead-letter' ? inner : overlay(inner, change(inner));
    },
  });
}

function overlay<T extends object>(target: T, own: Partial<T>): T {
  return new Proxy(target, {
    get: (_, name): unknown => {
      if (Object.hasOwn(own, name)) return Reflect.get(own, name);
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}
