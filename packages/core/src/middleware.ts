import { WaybillError } from './errors.ts';
import type { HandlerContext, Message, Published } from './message.ts';
import type { PublishOptions } from './options.ts';

/** What a publish middleware sees. */
export interface PublishCall {
  readonly topic: string;
  readonly payload: unknown;
  readonly options: PublishOptions;
}

/**
 * Cross-cutting code such as tracing and metrics. It wraps handlers and publishes, it can't change settlement: retry,
 * order and dead letters stand outside it. Must call `next` exactly once and return or await what it gives.
 */
export interface Middleware {
  /** Round each handler run of a message subscription. */
  readonly handler?: (message: Message<unknown>, context: HandlerContext, next: () => Promise<void>) => Promise<void>;
  /** Round each `publish`. Headers given to `next` are added to the caller's. */
  readonly publish?: (
    call: PublishCall,
    next: (headers?: PublishOptions['headers']) => Promise<Published>,
  ) => Promise<Published>;
}

/** @throws WaybillError `invalid` for what would never be called */
export function checkMiddleware(middleware: Middleware): void {
  for (const [name, layer] of Object.entries(middleware))
    if (!['handler', 'publish'].includes(name) || (layer !== undefined && typeof layer !== 'function'))
      throw new WaybillError(
        'invalid',
        `use: ${name} is ${typeof layer}; allowed: handler and publish, which are functions`,
      );
}

type Run = (message: Message<unknown>, context: HandlerContext) => unknown;

/** The handler inside its middlewares, the first outermost. With none it is the handler itself. */
export function composeHandler(middlewares: readonly Middleware[], handler: Run): Run {
  let composed = handler;
  for (const { handler: layer } of middlewares.toReversed()) {
    if (layer === undefined) continue;
    const inner = composed;
    composed = async (message, context) => {
      let outcome: Promise<void> | null = null;
      await layer(message, context, () => (outcome ??= (async () => void (await inner(message, context)))()));
      // A middleware that swallowed the handler's error, or never ran it, must not turn that into an ack.
      await (outcome ?? Promise.reject(new Error('a middleware did not call next, so the handler has not run')));
    };
  }
  return composed;
}

export type PublishRun = (call: PublishCall) => Promise<Published>;

/** What runs a publish inside its middlewares, the first outermost; null when there are none. */
export function composePublish(
  middlewares: readonly Middleware[],
): ((call: PublishCall, publish: PublishRun) => Promise<Published>) | null {
  const layers = middlewares.flatMap(({ publish }) => (publish === undefined ? [] : [publish]));
  if (layers.length === 0) return null;
  return (call, publish) => {
    let composed = publish;
    for (const layer of layers.toReversed()) {
      const inner = composed;
      composed = async (outer) => {
        let outcome: Promise<Published> | null = null;
        const given = await layer(outer, (headers) => (outcome ??= inner(withHeaders(outer, headers))));
        return outcome ?? given;
      };
    }
    return composed(call);
  };
}

function withHeaders(call: PublishCall, headers: PublishOptions['headers']): PublishCall {
  if (headers === undefined) return call;
  return { ...call, options: { ...call.options, headers: { ...call.options.headers, ...headers } } };
}
