import { cancelRebuild, getRebuild, listRebuilds, rebuildSchema, rollbackRebuild, startRebuild } from '@millrace/contracts';
import type { Rebuild, RebuildStoreName } from '@millrace/contracts';
import { ok } from '@millrace/http';
import { AppError } from '@millrace/service';
import { z } from 'zod';
import type { AskOptions, InternalService, ServiceClient } from './ask-service.ts';
import { localRoute } from './local-route.ts';
import type { LocalRoutes } from './local-route.ts';

/** Who builds which store. */
const builderOf: Readonly<Record<RebuildStoreName, InternalService>> = { search: 'es-sync-worker', vectors: 'embedding-worker' };
const stores: readonly RebuildStoreName[] = ['search', 'vectors'];
const listSchema = z.object({ data: z.array(rebuildSchema) });

/** The id names the store; the contract has checked its form. */
const builderOfId = (id: string): InternalService => builderOf[id.startsWith('search-') ? 'search' : 'vectors'];

/** undefined: its worker cannot be asked, which does not hide the other's jobs. */
async function jobsOf(services: ServiceClient, store: RebuildStoreName, limit: number, options: AskOptions): Promise<readonly Rebuild[] | undefined> {
  try {
    return (await services.ask(builderOf[store], `/internal/rebuilds?limit=${limit}`, listSchema, options)).data;
  } catch (error) {
    if (error instanceof AppError && (error.code === 'upstream_unavailable' || error.code === 'upstream_timeout')) return undefined;
    throw error;
  }
}

/** `/api/admin/rebuilds`: jobs of both stores, asked of the workers that own them. */
export function rebuildRoutes(services: ServiceClient): LocalRoutes {
  return {
    ...localRoute(startRebuild, async ({ identity: caller, body: { store, force } }) => ({
      status: 202, body: await services.ask(builderOf[store], '/internal/rebuilds', rebuildSchema, { caller, method: 'POST', body: { force } }),
    })),
    ...localRoute(listRebuilds, async ({ identity: caller, query: { store, limit } }) => {
      const wanted = store === undefined ? stores : [store];
      const found = await Promise.all(wanted.map(async (name) => ({ name, jobs: await jobsOf(services, name, limit, { caller }) })));
      const data = found.flatMap(({ jobs = [] }) => jobs).toSorted((a, b) => (a.started_at < b.started_at ? 1 : -1));
      return ok({ data, unavailable: found.filter(({ jobs }) => jobs === undefined).map(({ name }) => name) });
    }),
    ...localRoute(getRebuild, async ({ identity: caller, params: { id } }) => ok(await services.ask(builderOfId(id), `/internal/rebuilds/${id}`, rebuildSchema, { caller }))),
    ...localRoute(cancelRebuild, async ({ identity: caller, params: { id } }) => ({ status: 202, body: await services.ask(builderOfId(id), `/internal/rebuilds/${id}/cancel`, rebuildSchema, { caller, method: 'POST' }) })),
    ...localRoute(rollbackRebuild, async ({ identity: caller, params: { id } }) => ({ status: 202, body: await services.ask(builderOfId(id), `/internal/rebuilds/${id}/rollback`, rebuildSchema, { caller, method: 'POST' }) })),
  };
}
