import { DEFAULTS } from '@waybill/core';
import { type Adapter, type Facts, messageOf, WaybillError } from '@waybill/core/adapter';

/** Connects once and closes. @throws WaybillError saying what is wrong, without secrets */
export async function reach(adapter: Adapter, timeout: number = DEFAULTS.connectTimeout): Promise<Facts> {
  try {
    return await adapter.connect(AbortSignal.timeout(timeout));
  } catch (error) {
    if (WaybillError.is(error)) throw error;
    const why = `${adapter.name} does not answer: ${messageOf(error)}`;
    throw new WaybillError(adapter.classify(error), why, { cause: error });
  } finally {
    await adapter.close().catch(() => undefined);
  }
}
