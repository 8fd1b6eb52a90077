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
  app.use('/internal', deps.internal);
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
