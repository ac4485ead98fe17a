import { WaybillError } from '@waybill/core/adapter';
import { UsageError } from './usage-error.ts';

/** An error as it may be shown: ours by its message; of others the stack, too, with secrets masked. */
export function errorText(error: unknown): string {
  if (WaybillError.is(error) || error instanceof UsageError) return error.message;
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return new WaybillError('unclassified', text).message; // it masks what it is given
}
