import { maskUrl } from '@waybill/core/adapter';
import { greetAmqp } from './amqp-greeting.ts';
import { movedTo, readGiven } from './given-url.ts';
import type { RabbitmqExtras } from './rabbitmq.ts';
import type { Place, Visit } from './recipe.ts';
import { type Ability, TestbedError } from './running-broker.ts';

/** A RabbitMQ that is not ours. */
export class RabbitmqVisit implements Visit<RabbitmqExtras> {
  readonly place: Place;
  readonly limits: { readonly proxy?: string };
  readonly #url: string;
  readonly #tls: boolean;

  constructor(url: string) {
    this.#url = url;
    const { scheme, hosts } = readGiven(url);
    const [first] = hosts;
    if ((scheme !== 'amqp' && scheme !== 'amqps') || first === undefined || hosts.length > 1)
      throw new TestbedError(`${maskUrl(url)} must be amqp:// or amqps:// and one host`);
    this.#tls = scheme === 'amqps';
    this.place = { host: first.host, port: first.port ?? (this.#tls ? 5671 : 5672) };
    this.limits = this.#tls ? { proxy: 'at an amqps: address the certificate is not that of a proxy' } : {};
  }

  /** The same with another host: user, virtual host and parameters stay. */
  url({ host, port }: Place): string {
    if (host === this.place.host && port === this.place.port) return this.#url;
    return movedTo(this.#url, { host, port });
  }

  probe(place: Place, timeout: number): Promise<string> {
    return greetAmqp(place, timeout, this.#tls ? true : null);
  }

  hopeless(): boolean {
    return true;
  }

  reset(): Promise<void> {
    throw new TestbedError('what is at a given address is not ours to delete');
  }

  extras(_: Place, users: Ability): RabbitmqExtras {
    const refused = (): Promise<never> => Promise.reject(new TestbedError(String(users)));
    return { tls: null, api: refused, user: refused, vhost: refused, alarm: refused, evaluate: refused };
  }
}
