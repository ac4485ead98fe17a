/** What of kafkajs' queue of requests of one connection is looked at here. */
interface RequestQueue {
  pending: readonly unknown[];
  throttledUntil: number;
  throttleCheckTimeoutId: NodeJS.Timeout | null;
  checkPendingRequests(): void;
  scheduleCheckPendingRequests(): void;
}

interface Inside {
  readonly connectionPool?: { readonly pool?: readonly { readonly requestQueue?: Partial<RequestQueue> }[] };
}

/**
 * Once it has had an answer, a connection of kafkajs looks every millisecond, for ever, whether a request waits to be
 * sent: that burns a core's percent for each, warns of negative timeouts on Node 24, and lets no process exit that has
 * lost a connection at the wrong time. Here it looks only while one waits. Only these connections are changed; where
 * kafkajs is built otherwise, nothing is.
 */
export function quieten(broker: unknown): void {
  const { connectionPool } = (broker ?? {}) as Inside;
  for (const { requestQueue } of connectionPool?.pool ?? []) {
    if (requestQueue === undefined || !isKnown(requestQueue)) continue;
    const queue: RequestQueue = requestQueue;
    queue.scheduleCheckPendingRequests = () => {
      if (queue.throttleCheckTimeoutId !== null || queue.pending.length === 0) return;
      const wait = Math.max(10, queue.throttledUntil - Date.now());
      queue.throttleCheckTimeoutId = setTimeout(() => {
        queue.throttleCheckTimeoutId = null;
        queue.checkPendingRequests();
      }, wait);
    };
  }
}

function isKnown(queue: Partial<RequestQueue>): queue is RequestQueue {
  return (
    Array.isArray(queue.pending) &&
    typeof queue.throttledUntil === 'number' &&
    typeof queue.checkPendingRequests === 'function' &&
    typeof queue.scheduleCheckPendingRequests === 'function'
  );
}
