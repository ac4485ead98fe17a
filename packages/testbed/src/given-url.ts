import { type BrokerUrl, parseBrokerUrl } from '@waybill/core/adapter';
import { textOf } from './readiness.ts';
import type { Place } from './recipe.ts';
import { TestbedError } from './running-broker.ts';

/** The parts of a URL that a user gave. @throws TestbedError that shows no more of it than its scheme */
export function readGiven(url: string): BrokerUrl {
  try {
    return parseBrokerUrl(url);
  } catch (error) {
    throw new TestbedError(textOf(error));
  }
}

/** The same with another host: user, path and parameters stay. */
export function movedTo(url: string, { host, port }: Place): string {
  return url.replace(/^([^:]+:\/\/(?:[^/?@]*@)?)[^/?]*/, (_, before: string) => `${before}${host}:${port}`);
}
