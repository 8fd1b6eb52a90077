import type { Server } from 'node:http';

/** How long a caller may hold a connection without using it. */
export interface SlowClientOptions {
  /** Longest time for the head of a request. */
  readonly headersTimeoutMs: number;
  /** A body that still comes when its request was answered is read, and dropped, for so long. */
  readonly lateBodyMs?: number;
  /** Connections at once; node closes others unanswered. */
  readonly maxConnections?: number | undefined;
}

/** Node looks for late requests so often; its own 30 s would be the longest wait for a head. */
export const checkingIntervalOf = (headersTimeoutMs: number): number => Math.min(5_000, headersTimeoutMs);

/** After its answer a request has nothing to say: the connection does not stay open for a body that trickles in. */
export function boundSlowClients(server: Server, { headersTimeoutMs, lateBodyMs = 5_000, maxConnections }: SlowClientOptions): void {
  server.headersTimeout = headersTimeoutMs;
  if (maxConnections !== undefined) server.maxConnections = maxConnections;
  server.on('request', (req, res) => {
    const { socket, headers } = req;
    // Nothing can still come.
    if (headers['content-length'] === undefined && headers['transfer-encoding'] === undefined) return;
    res.once('finish', () => {
      if (req.complete) return;
      const late = setTimeout(() => {
        if (!req.complete) socket.destroy();
      }, lateBodyMs);
      req.once('close', () => clearTimeout(late));
    });
  });
}
