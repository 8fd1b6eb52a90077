import type { RebuildReason } from '@millrace/contracts';
import { parseModel } from '@millrace/embedding';
import type { LiveHealth } from '@millrace/projection';
import type { VectorAdmin } from '@millrace/vectors';
import { isFitDue } from './fit-schedule.ts';
import type { FitPolicy } from './fit-schedule.ts';

export interface FitDueDeps {
  readonly admin: Pick<VectorAdmin, 'ping' | 'liveCollection' | 'modelOf' | 'count'>;
  readonly health: LiveHealth | undefined;
  readonly policy: FitPolicy;
  readonly dimensions: number;
  /** Shortest time between two looks at the growth of the catalogue. */
  readonly everyMs: number;
  readonly lag: () => Promise<{ readonly messages: number }>;
  readonly msSinceLastFit: () => Promise<number>;
  readonly nowMs?: () => number;
}

/** Why the collection must be built anew: there is none, it is lost, it has other dimensions, or the model no longer fits the catalogue's size. */
export function createFitDue({ admin, health, policy, dimensions, everyMs, lag, msSinceLastFit, nowMs = () => performance.now() }: FitDueDeps): () => Promise<RebuildReason | undefined> {
  let previousCount: number | undefined;
  let lookedMs = -Infinity;
  return async () => {
    await admin.ping();
    const live = await admin.liveCollection();
    if (live === undefined) return 'first';
    if (await health?.isLost(live)) return 'repair';
    if (nowMs() - lookedMs < everyMs) return undefined;
    lookedMs = nowMs();
    const model = parseModel((await admin.modelOf(live)).document);
    if (model.dimensions !== dimensions) return 'definition';
    const count = await admin.count(live);
    const situation = { count, previousCount, fittedOn: model.fittedOn, lag: (await lag()).messages, msSinceLastFit: await msSinceLastFit() };
    previousCount = count;
    return isFitDue(situation, policy) ? 'model' : undefined;
  };
}
