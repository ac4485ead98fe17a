import type { Clock } from './clock.ts';
import type { Output } from './contract.ts';
import { encode } from './encoding.ts';
import { WaybillError } from './errors.ts';
import type { PublishOptions } from './options.ts';
import { refusal } from './outgoing.ts';
import type { Place } from './places.ts';

/**
 * One message of a transaction: encoded and checked as for a publish, its destination provisioned, nothing sent. What
 * can be known to be wrong is told here, where the handler hears of it; a transaction that is refused is refused whole.
 *
 * @param home Where the transaction is.
 * @throws PublishError or WaybillError: nothing was kept.
 */
export async function makeOutput(
  place: Place,
  home: Place,
  payload: unknown,
  options: PublishOptions,
  clock: Clock,
  source: string | null,
): Promise<Output> {
  const { broker, destination, spec, topic } = place;
  const { link } = broker;
  if (broker !== home.broker)
    throw new WaybillError(
      'invalid',
      `context.publish to '${topic.name}' on broker '${link.name}': a transaction of '${home.topic.name}' reaches no further than its own broker '${home.broker.link.name}'; put both topics on one broker, or use bus.publish, which is outside of the transaction`,
    );
  const message = await encode(place, payload, options, clock, source);
  const refused = refusal(message, destination, link.adapter.supports);
  if (refused !== null) throw refused;
  await link.provision(spec);
  if (options.signal?.aborted === true)
    throw new WaybillError('timeout', `context.publish to '${topic.name}' was given up by the caller's signal`);
  return { destination, message };
}
