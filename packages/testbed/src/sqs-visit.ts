import { maskUrl } from '@waybill/core/adapter';
import type { SqsExtras, SqsName } from './elasticmq.ts';
import { movedTo, readGiven } from './given-url.ts';
import type { Place, Visit } from './recipe.ts';
import { TestbedError } from './running-broker.ts';
import { callSqs, SqsError } from './sqs-call.ts';

/** Milliseconds for one answer. */
const patience = 5_000;

/** An account at AWS (`sqs://eu-west-1`), or an emulator that is not ours (`sqs+http://host:port`). */
export class SqsVisit implements Visit<SqsExtras> {
  readonly place: Place;
  readonly kind: 'real' | 'emulator';
  readonly limits: { readonly proxy?: string };
  readonly #url: string;
  readonly #tls: boolean;

  constructor(name: SqsName, url: string) {
    this.#url = url;
    const { scheme, hosts } = readGiven(url);
    const [first] = hosts;
    const allowed = [name, `${name}+http`, `${name}+https`];
    if (!allowed.includes(scheme) || first === undefined || hosts.length > 1)
      throw new TestbedError(`${maskUrl(url)} must be ${name}://region, or ${name}+http:// or +https:// and one host`);
    const aws = scheme === name;
    this.#tls = scheme !== `${name}+http`;
    this.kind = aws ? 'real' : 'emulator';
    this.place = aws
      ? { host: `sqs.${first.host}.amazonaws.com`, port: 443 }
      : { host: first.host, port: first.port ?? (this.#tls ? 443 : 80) };
    this.limits = this.#tls ? { proxy: 'at an address with TLS the certificate is not that of a proxy' } : {};
  }

  url({ host, port }: Place): string {
    if (host === this.place.host && port === this.place.port) return this.#url;
    return movedTo(this.#url, { host, port });
  }

  async probe(place: Place, timeout: number): Promise<string> {
    await callSqs({ place, tls: this.#tls }, 'ListQueues', {}, timeout).catch((error: unknown) => {
      if (!(error instanceof SqsError)) throw error; // it refuses who does not sign, as it should
    });
    return 'unknown';
  }

  hopeless(): boolean {
    return true;
  }

  reset(): Promise<void> {
    throw new TestbedError('what is at a given address is not ours to delete');
  }

  extras(place: Place): SqsExtras {
    return {
      endpoint: `${this.#tls ? 'https' : 'http'}://${place.host}:${place.port}`,
      call: (operation, input = {}) => callSqs({ place, tls: this.#tls }, operation, input, patience),
    };
  }
}
