import { getCounts, rebuildRecommendations } from '@millrace/contracts';
import type { CountsBody } from '@millrace/contracts';
import { ok, route } from '@millrace/http';
import { Router } from 'express';
import type { CountMemory } from './count-memory.ts';
import type { CountRebuilds } from './count-rebuilds.ts';
import type { CountKeys } from './count-keys.ts';
import type { RebuildRow } from './rebuild.repository.ts';

export interface CountsRoutesDeps {
  readonly rebuilds: Pick<CountRebuilds, 'request'>;
  readonly memory: CountMemory;
  readonly live: () => Promise<readonly CountKeys[]>;
  readonly listRebuilds: (limit: number) => Promise<readonly RebuildRow[]>;
}

const SHOWN = 10;

/** `GET /api/admin/recommendations/counts`, `POST /api/admin/recommendations/rebuild`. */
export function countsRoutes({ rebuilds, memory, live, listRebuilds }: CountsRoutesDeps): Router {
  const router = Router();
  route(router, getCounts, async () => {
    const { bytesPerUser, bytesPerItem, users, items } = await memory.measure(await live());
    const rows = await listRebuilds(SHOWN);
    return ok({
      bytes_per_user: bytesPerUser, bytes_per_item: bytesPerItem, users_measured: users, items_measured: items,
      rebuilds: rows.map((row) => ({ ...row, started_at: row.started_at.toISOString(), finished_at: row.finished_at?.toISOString() ?? null })),
    } satisfies CountsBody);
  });
  route(router, rebuildRecommendations, async () => ({ status: 202, body: { started: await rebuilds.request() } }));
  return router;
}
