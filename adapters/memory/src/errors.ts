import { type ErrorCode, WaybillError } from '@waybill/core/adapter';

/** What the memory broker answers when it can't, as a client library's error would be: the code is its own. */
export class BrokerError extends Error {
  override readonly name = 'BrokerError';
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** The code of anything that this adapter throws. */
export function classify(error: unknown): ErrorCode {
  if (error instanceof BrokerError || WaybillError.is(error)) return error.code;
  if (error instanceof Error && (error.name === 'AbortError' || error.name === 'TimeoutError')) return 'timeout';
  return 'unclassified';
}
