import { hash } from 'node:crypto';

/**
 * The `sendId` of a copy (requeue, dead letter, redrive): the same for every repeat of one send, different for every
 * send that must arrive. 128 bits of SHA-256 as 22 characters of base64url, safe as a name on every broker.
 *
 * @param id The message id.
 * @param destination The physical destination of the copy.
 * @param position The place of the delivery that it was made from; where there is none, that delivery's own `sendId`.
 */
export function sendIdOf(id: string, destination: string, position: string): string {
  // JSON keeps the three parts apart, whatever characters they hold.
  const digest = hash('sha256', JSON.stringify([id, destination, position]), 'buffer');
  return digest.toString('base64url', 0, 16);
}
