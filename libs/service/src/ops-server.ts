import { once } from 'node:events';
import { createServer } from 'node:http';
import express from 'express';
import type { Router } from 'express';
import type { Registry } from 'prom-client';
import type { Health } from './health.ts';
import type { Logger } from './logger.ts';

export interface OpsServerDeps {
  readonly host: string;
  readonly port: number;
  readonly metrics: Registry;
  readonly health: Health;
  readonly internal: Router;
  readonly logger: Logger;
}

/** A client of ours waits and tries again where a service only begins; it must not take that for "there is no such thing". */
const problems = {
  starting: { status: 503, body: { type: 'urn:millrace:problem:unavailable', title: 'Unavailable', status: 503, code: 'unavailable', detail: 'the service is starting: try again' } },
  unknown: { status: 404, body: { type: 'urn:millrace:problem:not_found', title: 'Not found', status: 404, code: 'not_found', detail: 'there is no such internal route' } },
} as const;

/** The second port, never public: /metrics, /healthz (the process lives), /readyz (it can do its work) and /internal. */
export async function startOpsServer(deps: OpsServerDeps): Promise<{ port: number; close(): Promise<void> }> {
  const app = express();
  app.disable('x-powered-by');
  app.get('/healthz', (_req, res) => void res.json({ ok: true }));
  app.get('/readyz', async (_req, res) => {
    const readiness = await deps.health.readiness();
    res.status(readiness.ready ? 200 : 503).json(readiness);
  });
  app.get('/metrics', async (_req, res) => void res.type('text/plain').send(await deps.metrics.metrics()));
  app.use('/internal', deps.internal, (_req, res) => {
    const { status, body } = problems[deps.health.isStarting() ? 'starting' : 'unknown'];
    res.status(status).set({ 'content-type': 'application/problem+json', ...(status === 503 && { 'retry-after': '1' }) }).send(JSON.stringify(body));
  });
  const server = createServer(app).listen(deps.port, deps.host);
  await once(server, 'listening');
  const address = server.address();
  return {
    port: typeof address === 'object' && address ? address.port : deps.port,
    close: async () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
