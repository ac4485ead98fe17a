import { maskUrl } from '@waybill/core/adapter';
import { readGiven } from './given-url.ts';
import type { KafkaExtras } from './kafka.ts';
import { askKafka, KAFKA_API, KafkaWriter } from './kafka-wire.ts';
import type { Place, Visit } from './recipe.ts';
import { type Ability, TestbedError } from './running-broker.ts';

/** A Kafka that is not ours. Its first host is the one to ask. */
export class KafkaVisit implements Visit<KafkaExtras> {
  readonly place: Place;
  readonly limits = { proxy: 'the addresses that a Kafka at a given address tells its clients lead past a proxy' };
  readonly #url: string;
  readonly #tls: boolean;

  constructor(url: string) {
    this.#url = url;
    const { scheme, hosts } = readGiven(url);
    const [first] = hosts;
    if ((scheme !== 'kafka' && scheme !== 'kafkas') || first === undefined)
      throw new TestbedError(`${maskUrl(url)} must be kafka:// or kafkas:// and its hosts`);
    this.#tls = scheme === 'kafkas';
    this.place = { host: first.host, port: first.port ?? 9092 };
  }

  url(): string {
    return this.#url;
  }

  /** What it understands: the one question that it answers before it knows who asks. It does not say its version. */
  async probe(place: Place, timeout: number): Promise<string> {
    const request = { api: KAFKA_API.apiVersions, version: 0, body: new KafkaWriter() };
    const answer = await askKafka(place, request, timeout, this.#tls ? { servername: place.host } : null);
    if (answer.int16() !== 0) throw new Error('it answers, but not as a Kafka broker does');
    return 'unknown';
  }

  hopeless(): boolean {
    return true;
  }

  reset(): Promise<void> {
    throw new TestbedError('what is at a given address is not ours to delete');
  }

  extras({ host, port }: Place, users: Ability): KafkaExtras {
    const refused = (): Promise<never> => Promise.reject(new TestbedError(String(users)));
    return { plain: `${host}:${port}`, tls: null, user: refused, allow: refused, nodes: [] };
  }
}
