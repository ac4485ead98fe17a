import type { Clock } from './clock.ts';
import { Consumer } from './consumer.ts';
import type { ContextShared, HoldFunction, PublishFunction } from './context.ts';
import { Copies } from './copies.ts';
import { Dispatcher } from './dispatcher.ts';
import type { Events } from './events.ts';
import { BatchExecutor, SingleExecutor } from './executors.ts';
import type { BatchHandler, Handler } from './message.ts';
import { composeHandler, type Middleware } from './middleware.ts';
import type { Place, Places } from './places.ts';
import type { Plan } from './plan.ts';

export interface AssemblyOptions {
  readonly place: Place;
  readonly places: Places;
  readonly plan: Plan;
  readonly handler: Handler<unknown>;
  readonly middlewares: readonly Middleware[];
  /** For a replay: its own group, no inbox, no dead letters, and a rate. */
  readonly replay: { readonly rate: number | null } | null;
  /** This consumer's name at the broker. */
  readonly name: string;
  readonly events: Events;
  readonly clock: Clock;
  readonly random: () => number;
  readonly publish: PublishFunction;
  /** For a transactional subscription. */
  readonly hold: HoldFunction;
  readonly onStop: () => void;
}

/** Puts the parts of one subscription together: receive loop, dispatcher, executor, copies. Opens nothing. */
export function assemble(options: AssemblyOptions): { consumer: Consumer; dispatcher: Dispatcher } {
  const { place, places, plan, replay, events, clock, random } = options;
  const { link, publisher } = place.broker;
  const { supports } = link.adapter;
  const spec = replay === null ? places.withGroup(place, plan.group, plan.start) : place.spec;
  const inbox = replay === null ? places.inbox(place, plan.group) : null;
  const deadSpec = replay === null && plan.deadLetter !== false ? places.deadLetterSpec(place, plan.group) : null;
  const routes = {
    inbox: inbox === null ? null : publisher.route(inbox, spec),
    deadLetter: deadSpec === null ? null : publisher.route(deadSpec.destination, deadSpec),
  };
  const dispatcher: Dispatcher = new Dispatcher({
    plan,
    topic: place.topic,
    supports,
    clock,
    events,
    random,
    copies: new Copies({ link, publisher, events, routes, plan }),
    replay: replay !== null,
    onChange: () => consumer.changed(),
    onStop: options.onStop,
  });
  dispatcher.executor = executor(dispatcher, options);
  const consumer = new Consumer({
    plan,
    link,
    events,
    dispatcher,
    rate: replay?.rate ?? null,
    provision: deadSpec === null ? [spec] : [spec, deadSpec],
    spec: {
      destination: place.destination,
      group: plan.group,
      groupAddress: places.groupAddress(plan.topic, plan.group),
      inbox,
      consumer: options.name,
      prefetch: plan.prefetch,
      suspect: Math.max(2, Math.floor(plan.maxDeliveries / 2)),
      lease: plan.lease,
      start: plan.start,
      bounded: replay !== null,
      filter: supports.deliver.filter.by === 'native' ? plan.filter : null,
      transactional: plan.transactional,
    },
  });
  return { consumer, dispatcher };
}

function executor(dispatcher: Dispatcher, options: AssemblyOptions): SingleExecutor | BatchExecutor {
  const { plan, handler, middlewares, clock } = options;
  const shared: ContextShared = {
    group: plan.group,
    replay: options.replay !== null,
    publish: options.publish,
    hold: plan.transactional ? options.hold : null,
  };
  if (plan.batch === null) return new SingleExecutor(dispatcher, composeHandler(middlewares, handler), shared);
  return new BatchExecutor(dispatcher, handler as unknown as BatchHandler<unknown>, shared, {
    clock,
    ...plan.batch,
    attempts: plan.attempts,
    concurrency: () => plan.concurrency,
  });
}
