import { type ErrorCode, WaybillError } from '@waybill/core/adapter';

/** What the SDK puts on an error, of a call or made of an entry that failed in a batch. */
interface ServiceError extends Error {
  readonly Code?: string;
  readonly code?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

/** One entry of a batch that failed, as SQS tells it. */
export interface FailedEntry {
  readonly Id?: string | undefined;
  readonly Code?: string | undefined;
  readonly Message?: string | undefined;
}

/** SQS's codes without their prefixes, which differ between SQS and the servers that play it. */
const codes: readonly (readonly [RegExp, ErrorCode])[] = [
  [/^(?:RequestThrottled|Throttl|TooManyRequests|OverLimit|(?:KMS|Kms)\.?Throttl)/, 'throttled'],
  [/^(?:QueueDoesNotExist|NonExistentQueue|QueueDeletedRecently|NotFound)$/, 'not-found'],
  [
    /^(?:AccessDenied|AuthorizationError|InvalidClientTokenId|UnrecognizedClient|SignatureDoesNotMatch|InvalidSignature|IncompleteSignature|ExpiredToken|MissingAuthenticationToken|InvalidSecurity|OptInRequired|InvalidAccessKeyId|CredentialsProviderError|Kms|KMS)/,
    'denied',
  ],
  [/^BatchRequestTooLong$/, 'too-large'],
  [/^(?:InvalidAddress|UnsupportedOperation)$/, 'unsupported'],
  [
    /^(?:InvalidMessageContents|InvalidParameter|MissingParameter|MissingRequiredParameter|InvalidAttribute|InvalidBatchEntryId|BatchEntryIdsNotDistinct|EmptyBatchRequest|TooManyEntriesInBatchRequest|QueueNameExists|ReceiptHandleIsInvalid|MessageNotInflight)/,
    'invalid',
  ],
  [
    /^(?:InternalError|InternalFailure|ServiceUnavailable|PurgeQueueInProgress|SyntaxError|InvalidChecksum)/,
    'unavailable',
  ],
];

/** Nobody was spoken to, so nothing was done. */
const unreached =
  /ECONNREFUSED|ENOTFOUND|EAI_|EHOSTUNREACH|EHOSTDOWN|ENETUNREACH|ENETDOWN|EADDRNOTAVAIL|ERR_SSL|ERR_TLS|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|without establishing a connection/;
const broken = /ECONN|EPIPE|socket hang up|ERR_STREAM|ERR_HTTP/;
const gone = /receipt handle has expired|not available for visibility timeout change|beyond the limit/i;

/** The code alone: what stands before `#`, SQS's old prefix and `Exception` are cut off. */
export function codeOf(error: unknown): string {
  const { name = '', Code } = error as Partial<ServiceError>;
  return (Code ?? name)
    .replace(/^.*#/, '')
    .replace(/^AWS\.SimpleQueueService\./, '')
    .replace(/Exception$/, '');
}

/** Whether SQS itself has spoken: then what it says is known, and the way to it works. */
export const isAnswer = (error: unknown): boolean => statusOf(error) !== undefined;

/** Whether it is certain that the call has done nothing. */
export function isUndone(error: unknown): boolean {
  const status = statusOf(error);
  if (status !== undefined) return status >= 400 && status < 500 && classify(error) !== 'unavailable';
  const code = classify(error);
  return code === 'denied' || code === 'invalid' || isUnreached(error);
}

/** Whether a receipt is known to settle nothing any more. */
export function isLeaseLost(error: unknown): boolean {
  const code = codeOf(error);
  if (code === 'ReceiptHandleIsInvalid' || code === 'MessageNotInflight') return true;
  return code === 'InvalidParameterValue' && gone.test((error as Error).message);
}

/** The error of one entry of a batch, as if it had been a call's. */
export function entryError(failed: FailedEntry): Error {
  const code = failed.Code ?? 'InternalFailure';
  return Object.assign(new Error(`${code}: ${failed.Message ?? 'no message'}`), { name: code, Code: code });
}

/** The code of anything that this adapter throws. */
export function classify(error: unknown): ErrorCode {
  if (WaybillError.is(error)) return error.code;
  if (!(error instanceof Error)) return 'unclassified';
  const status = statusOf(error);
  if (status === 429) return 'throttled';
  const code = codeOf(error);
  if (code.startsWith('InvalidParameter') && /must be shorter than|too long|bytes/i.test(error.message))
    return 'too-large';
  const known = codes.find(([pattern]) => pattern.test(code))?.[1];
  if (known !== undefined) return known;
  if (/Region is missing|Invalid endpoint|Invalid URL/i.test(error.message)) return 'invalid';
  if (/Could not load credentials|Resolved credential object is not valid/i.test(error.message)) return 'denied';
  // Of a broken connection the SDK says that it took too long.
  if (isUnreached(error) || isBroken(error)) return 'unavailable';
  if (error.name === 'TimeoutError' || error.name === 'AbortError') return 'timeout';
  if (status === undefined) return 'unclassified';
  return status >= 500 ? 'unavailable' : status === 403 ? 'denied' : 'unclassified';
}

function isBroken(error: unknown): boolean {
  const { code, message } = error as Partial<ServiceError>;
  return broken.test(`${code} ${message}`);
}

function isUnreached(error: unknown): boolean {
  const { code, message } = error as Partial<ServiceError>;
  return unreached.test(`${code} ${message}`);
}

function statusOf(error: unknown): number | undefined {
  return (error as Partial<ServiceError> | null)?.$metadata?.httpStatusCode;
}
