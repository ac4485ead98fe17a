import type { Adapter, AdapterSubscription, Supports } from '@waybill/core/adapter';

/** The same object with some members replaced; methods keep their own `this`. */
function replacing<T extends object>(target: T, members: Partial<T>): T {
  return new Proxy(target, {
    get: (inner, name) => {
      if (Object.hasOwn(members, name)) return members[name as keyof T];
      const value: unknown = Reflect.get(inner, name, inner);
      return typeof value === 'function' ? value.bind(inner) : value;
    },
  });
}

/** The same adapter with some members replaced. */
export function wrapped(adapter: Adapter, members: Partial<Adapter>): Adapter {
  return replacing(adapter, members);
}

/** The same adapter with another manifest. */
export function withSupports(adapter: Adapter, supports: Supports): Adapter {
  return wrapped(adapter, { supports });
}

/** The same adapter, each of whose subscriptions has some members replaced. */
export function withSubscriptions(
  adapter: Adapter,
  members: (inner: AdapterSubscription) => Partial<AdapterSubscription>,
): Adapter {
  return wrapped(adapter, {
    subscribe: async (spec, signal) => {
      const inner = await adapter.subscribe(spec, signal);
      return replacing(inner, members(inner));
    },
  });
}
