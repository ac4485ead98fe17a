import { type ErrorCode, isNetworkError, WaybillError } from '@waybill/core/adapter';

/** Redis's error words, in any place: Lua of 6.2 puts its own words before them. */
const codes: readonly (readonly [RegExp, ErrorCode])[] = [
  [/\bOOM\b/, 'throttled'],
  [/\bmax number of clients\b/, 'throttled'],
  [/Too many Cluster redirections/, 'unavailable'],
  [/\b(?:NOREPLICAS|READONLY|LOADING|MASTERDOWN|MISCONF|BUSY|TRYAGAIN|CLUSTERDOWN|MOVED|ASK)\b/, 'unavailable'],
  [/\b(?:NOGROUP|UNBLOCKED)\b|no such key/, 'not-found'],
  // Scripts have words of their own for it: of 7.0, and of 7.2 and later.
  [
    /\b(?:NOAUTH|NOPERM|WRONGPASS|DENIED)\b|invalid password|without any password configured|The user executing the script can't|ACL failure in script/,
    'denied',
  ],
  [/exceeds maximum allowed|too large/, 'too-large'],
  [/\b(?:WRONGTYPE|CROSSSLOT)\b|Invalid stream ID|DB index is out of range/, 'invalid'],
  [/unknown command/i, 'unsupported'],
];
const lost =
  /Connection is closed|Stream isn't writeable|Socket timeout|connection close|Unknown RESP type|Socket closed|socket hang up|disconnected before secure TLS|All sentinels are unreachable|Cluster isn't ready|None of startup nodes|Failed to refresh slots|Cluster is ended/i;

/** Whether the server itself refused: then the command has changed nothing. */
export const isReply = (error: unknown): boolean => error instanceof Error && error.name === 'ReplyError';

/** Whether the command was never written: the connection was known to be gone. */
export const isUnsent = (error: unknown): boolean =>
  error instanceof Error && /^(?:Stream isn't writeable|Cluster isn't ready)/.test(error.message);

/** The code of anything that this adapter throws. */
export function classify(error: unknown): ErrorCode {
  if (WaybillError.is(error)) return error.code;
  if (!(error instanceof Error)) return 'unclassified';
  if (!isReply(error)) {
    if (isNetworkError(error) || lost.test(error.message) || /\b(?:certificate|SSL|TLS)\b/i.test(error.message))
      return 'disconnected';
    if (error.name === 'AbortError' || error.name === 'TimeoutError') return 'timeout';
  }
  return codes.find(([pattern]) => pattern.test(error.message))?.[1] ?? 'unclassified';
}
