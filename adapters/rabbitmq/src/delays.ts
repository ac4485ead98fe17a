import type { Channel, Message } from 'amqplib';

/*
 * How messages are held back without a plugin: queues whose messages end after 250 ms, 500 ms, 1 s … and go on to the
 * next shorter one, or past it. A message's headers say which of them it passes, as the binary digits of its delay, and
 * where it goes at last. All destinations of a vhost share them. In each queue all messages wait equally long, so none
 * waits for another; and the routing key is never touched, so a copy finds its place.
 */

/** Milliseconds of the shortest queue. Delays are rounded up to it. */
export const UNIT = 250;
const LEVELS = 19;
/** The longest delay. */
export const LONGEST = 86_400_000;

/** Where messages come out; a destination is bound to it by its name. No destination begins with an underscore. */
const EXIT = '__delay';
const levelName = (level: number): string => `${EXIT}__${level}`;
const levelHeader = (level: number): string => `waybill-delay-${level}`;
const TARGET = 'waybill-delay-to';

export interface HeldBack {
  readonly exchange: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** Where to publish what shall come to `target` in `delay` ms, and with which headers. */
export function heldBack(target: string, delay: number): HeldBack {
  const units = Math.ceil(delay / UNIT);
  const highest = Math.floor(Math.log2(units));
  const headers: Record<string, string> = { [TARGET]: target };
  for (let level = 0; level <= highest; level++) headers[levelHeader(level)] = String((units >> level) & 1);
  return { exchange: levelName(highest), headers };
}

/** What must be there for delays to work: the exit is made last. */
export const delayExchange: string = EXIT;

/** Where a message that was held back was to come; null for any other. */
export function targetOf({ fields, properties }: Message): string | null {
  if (!fields.exchange.startsWith(EXIT)) return null;
  const target: unknown = properties.headers?.[TARGET];
  return typeof target === 'string' ? target : null;
}

/** Makes them. */
export async function makeDelays(channel: Channel): Promise<void> {
  for (let level = 0; level < LEVELS; level++)
    await channel.assertExchange(levelName(level), 'headers', { durable: true });
  for (let level = 0; level < LEVELS; level++) {
    const name = levelName(level);
    const next = level === 0 ? EXIT : levelName(level - 1);
    await channel.assertQueue(name, {
      durable: true,
      arguments: {
        'x-queue-type': 'quorum',
        'x-message-ttl': UNIT * 2 ** level,
        'x-dead-letter-exchange': next,
        'x-dead-letter-strategy': 'at-least-once',
        'x-overflow': 'reject-publish',
      },
    });
    await channel.bindQueue(name, name, '', { 'x-match': 'all', [levelHeader(level)]: '1' });
    if (level > 0)
      await channel.bindExchange(levelName(level - 1), name, '', { 'x-match': 'all', [levelHeader(level)]: '0' });
  }
  await channel.assertExchange(EXIT, 'headers', { durable: true });
  await channel.bindExchange(EXIT, levelName(0), '', { 'x-match': 'all', [levelHeader(0)]: '0' });
}

/** From then on what was held back for `exchange` comes to it. */
export async function bindDelays(channel: Channel, exchange: string): Promise<void> {
  await channel.bindExchange(exchange, EXIT, '', { 'x-match': 'all', [TARGET]: exchange });
}
