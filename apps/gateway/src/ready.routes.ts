import type { Health } from '@millrace/service';
import { Router } from 'express';

/** The gateway's own readiness, for load balancers in front of the public port. Says nothing about other services (I9). */
export function readyRoute(health: Health): Router {
  const router = Router();
  router.get('/readyz', async (_req, res) => {
    const { ready } = await health.readiness();
    res.status(ready ? 200 : 503).json({ ready });
  });
  return router;
}
