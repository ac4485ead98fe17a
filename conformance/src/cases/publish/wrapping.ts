import { setTimeout as sleep } from 'node:timers/promises';
import type { Adapter, Destination, OutgoingMessage, SendOutcome } from '@waybill/core/adapter';

/** What a case wants to happen instead of an adapter's own `publish`. `send` passes these messages on. */
export type Intercept = (
  messages: readonly OutgoingMessage[],
  send: (messages: readonly OutgoingMessage[]) => Promise<readonly SendOutcome[]>,
  destination: Destination,
) => Promise<readonly SendOutcome[]>;

/** The adapter with another `publish`; all else is its own. For `t.connect({ wrap })`. */
export function intercepting(intercept: Intercept): (adapter: Adapter) => Adapter {
  return (adapter) =>
    withMethods(adapter, {
      publish: (destination, messages, signal) =>
        intercept(messages, (some) => adapter.publish(destination, some, signal), destination),
    });
}

/** An object with some methods replaced; the others are called on the object itself. */
export function withMethods<T extends object>(object: T, methods: Partial<T>): T {
  return new Proxy(object, {
    get: (target, name) => {
      if (Object.hasOwn(methods, name)) return Reflect.get(methods, name);
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}

/** Opened once; everybody who waits goes on then. */
export class Latch {
  readonly opened: Promise<void>;
  readonly open: () => void;

  constructor() {
    let open!: () => void;
    this.opened = new Promise((resolve) => (open = resolve));
    this.open = open;
  }
}

/** Holds every publish up until the latch opens; `waiting` counts the messages in calls that are held. */
export function holding(latch: Latch): {
  readonly wrap: (adapter: Adapter) => Adapter;
  readonly waiting: () => number;
} {
  let waiting = 0;
  const wrap = intercepting(async (messages, send) => {
    waiting += messages.length;
    await latch.opened;
    waiting -= messages.length;
    return send(messages);
  });
  return { wrap, waiting: () => waiting };
}

/** Every publish takes some milliseconds, before and after its effect: so that a fault finds some on their way. */
export function unhurried(ms: number): (adapter: Adapter) => Adapter {
  return intercepting(async (messages, send) => {
    await sleep(ms / 2);
    const outcomes = await send(messages);
    await sleep(ms / 2);
    return outcomes;
  });
}
