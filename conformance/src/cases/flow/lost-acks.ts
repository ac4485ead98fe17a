/** What core logs of an ack that was under way when a fault broke its connection. */
export const lostAcks: RegExp = /"code":"(?:disconnected|unavailable|timeout)"/;
