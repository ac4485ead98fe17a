/** Node's and OpenSSL's codes of a connection that could not be made, or broke. */
const lost =
  /^(?:ECONN|EPIPE|ENOTFOUND|EAI_|EHOST|ENET|ETIMEDOUT|ERR_SSL|ERR_TLS|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO)/;

/** Whether an error says by its code that a connection could not be made, or broke. For `classify`: `disconnected`. */
export function isNetworkError(error: unknown): boolean {
  const { code } = (error ?? {}) as { readonly code?: unknown };
  return typeof code === 'string' && lost.test(code);
}
