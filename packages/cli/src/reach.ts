import { DEFAULTS } from '@waybill/core';
import { type Adapter, type Facts, WaybillError } from '@waybill/core/adapter';

/** Connects once and closes. @throws WaybillError saying what is wrong, without secrets */
export async function reach(adapter: Adapter, timeout: number = DEFAULTS.connectTimeout): Promise<Facts> {
  try {
    return await adapter.connect(AbortSignal.timeout(timeout));
  } catch (error) {
    if (WaybillError.is(error)) throw error;
    const message = error instanceof Error ? error.message : 'unknown error';
    throw new WaybillError(adapter.classify(error), `${adapter.name} does not answer: ${message}`, { cause: error });
  } finally {
    await adapter.close().catch(() => undefined);
  }
}
