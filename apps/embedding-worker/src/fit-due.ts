import type { RebuildReason } from '@millrace/contracts';
import { parseEmbeddingModel } from '@millrace/embedding';
import type { LiveHealth } from '@millrace/projection';
import { isOfPreviousStore } from '@millrace/vectors';
import type { VectorAdmin } from '@millrace/vectors';
import { isFitDue } from './fit-schedule.ts';
import type { FitPolicy } from './fit-schedule.ts';
import { isDefinedAs } from './model-definition.ts';
import type { ModelDefinition } from './model-definition.ts';

export interface FitDueDeps {
  readonly admin: Pick<VectorAdmin, 'ping' | 'liveCollection' | 'modelOf' | 'count'>;
  readonly health: LiveHealth | undefined;
  readonly policy: FitPolicy;
  readonly definition: ModelDefinition;
  /** Shortest time between two looks at the growth of the catalogue. */
  readonly everyMs: number;
  readonly lag: () => Promise<{ readonly messages: number }>;
  readonly msSinceLastFit: () => Promise<number>;
  readonly nowMs?: () => number;
}

/** Why the collection must be built anew: there is none, it is lost, it is in the store before, its model is another one, or no longer fits the catalogue's size. */
export function createFitDue({ admin, health, policy, definition, everyMs, lag, msSinceLastFit, nowMs = () => performance.now() }: FitDueDeps): () => Promise<RebuildReason | undefined> {
  let previousCount: number | undefined;
  let lookedMs = -Infinity;
  return async () => {
    await admin.ping();
    const live = await admin.liveCollection();
    if (live === undefined) return 'first';
    if (await health?.isLost(live)) return 'repair';
    if (nowMs() - lookedMs < everyMs) return undefined;
    lookedMs = nowMs();
    const model = parseEmbeddingModel((await admin.modelOf(live)).document);
    if (isOfPreviousStore(live) || !isDefinedAs(model, definition)) return 'definition';
    if (model.kind !== 'tfidf-hashed') return undefined; // nothing to fit
    const count = await admin.count(live);
    const situation = { count, previousCount, fittedOn: model.fittedOn, lag: (await lag()).messages, msSinceLastFit: await msSinceLastFit() };
    previousCount = count;
    return isFitDue(situation, policy) ? 'model' : undefined;
  };
}
