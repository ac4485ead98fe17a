import { afterAll, test } from 'vitest';
import { type BrokerName, type Brokers, describeNotRun, isNotRun, isRequired, startBroker } from '../src/index.ts';

/**
 * Calls `define` with a broker of this test file's own, which is disposed of at the end. Where there is none, there is
 * one test instead: skipped with the reason, or failing where WAYBILL_REQUIRE wants it.
 */
export async function withBroker<N extends BrokerName>(
  name: N,
  options: Brokers[N]['options'],
  define: (broker: Brokers[N]['broker']) => void,
): Promise<void> {
  const answer = await startBroker(name, { from: 'process', ...options });
  if (!isNotRun(answer)) {
    afterAll(() => answer[Symbol.asyncDispose]());
    define(answer);
    return;
  }
  const text = describeNotRun(answer);
  if (isRequired(name))
    test(`${name}, as WAYBILL_REQUIRE wants`, () => {
      throw new Error(text);
    });
  else test.skip(`not-run: ${text}`, () => undefined);
}
