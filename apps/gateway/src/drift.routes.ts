import { getDrift, internalDriftSchema, verifyStores } from '@millrace/contracts';
import type { DriftBody, StoreName } from '@millrace/contracts';
import { ok } from '@millrace/http';
import { AppError } from '@millrace/service';
import type { AskOptions, InternalService, ServiceClient } from './ask-service.ts';
import { localRoute } from './local-route.ts';
import type { LocalRoutes } from './local-route.ts';

/** Who keeps which store. */
export const keeperOf: Readonly<Record<StoreName, InternalService>> = { search: 'es-sync-worker', vectors: 'embedding-worker' };
const stores: readonly StoreName[] = ['search', 'vectors'];

/** One service that cannot be asked does not hide what the others say. */
async function driftOf(services: ServiceClient, store: StoreName, path: string, options: AskOptions): Promise<DriftBody['stores'][number]> {
  try {
    return { store, error: null, ...(await services.ask(keeperOf[store], path, internalDriftSchema, options)) };
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return { store, verification: null, error: error.message };
  }
}

/** `GET /api/admin/drift`, `POST /api/admin/verify`: gathered from the services that keep the stores. */
export function driftRoutes(services: ServiceClient): LocalRoutes {
  return {
    ...localRoute(getDrift, async ({ identity: caller }) => ok({ stores: await Promise.all(stores.map((store) => driftOf(services, store, '/internal/drift', { caller }))) } satisfies DriftBody)),
    ...localRoute(verifyStores, async ({ identity: caller, body: { stores: wanted, repair } }) => {
      const options = { caller, method: 'POST', body: { repair }, timeoutMs: verifyStores.timeoutMs } as const;
      return ok({ stores: await Promise.all([...new Set(wanted)].map((store) => driftOf(services, store, '/internal/verify', options))) } satisfies DriftBody);
    }),
  };
}
