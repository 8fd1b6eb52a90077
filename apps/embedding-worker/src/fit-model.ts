import { createTfIdfFitter, modelId, productText, serializeModel, unfittedModel } from '@millrace/embedding';
import type { TfIdfModel } from '@millrace/embedding';
import { rebuildBeside } from '@millrace/projection';
import type { ReadExport } from '@millrace/projection';
import type { VectorAdmin } from '@millrace/vectors';
import type { Collections } from './collections.ts';
import { embedProducts } from './embed-products.ts';
import type { Fit } from './fit.repository.ts';

const BATCH = 500;

export interface FitModelDeps {
  readonly readExport: ReadExport;
  readonly admin: VectorAdmin;
  readonly collections: Collections;
  readonly dimensions: number;
  /** Below this many products every term weighs the same (idf = 1). */
  readonly minProducts: number;
  readonly record: (fit: Fit) => Promise<void>;
}

async function countTerms({ readExport, dimensions, minProducts }: FitModelDeps, signal: AbortSignal | undefined): Promise<TfIdfModel> {
  const fitter = createTfIdfFitter({ dimensions });
  await readExport({ batchSize: BATCH, ...(signal && { signal }) }, async (changes) => {
    for (const { product } of changes) if (product) fitter.add(productText(product));
  });
  return fitter.documents < minProducts ? unfittedModel({ dimensions }) : fitter.fit();
}

/**
 * Fits the model on the whole catalogue and embeds everything with it in a new collection beside the live one; live changes go to both;
 * then it swaps. Vectors of two models never meet. Call it on one instance at a time.
 */
export async function fitModel(deps: FitModelDeps, signal?: AbortSignal): Promise<Fit & { readonly rows: number }> {
  const { readExport, admin, collections } = deps;
  const startedAt = new Date().toISOString();
  const model = await countTerms(deps, signal);
  const id = modelId(model);
  const previous = await admin.liveCollection();
  const collection = await admin.createCollection({ id, dimensions: model.dimensions, document: serializeModel(model) });
  const target = await collections.open(collection);
  collections.building(target);
  try {
    const { rows } = await rebuildBeside({
      readExport, batchSize: BATCH, ...(signal && { signal }),
      fill: async (changes) => void (await embedProducts(target, changes)),
      swap: () => admin.swapTo(collection),
    });
    const fit = { collection, modelId: id, fittedOn: model.fittedOn, startedAt };
    await deps.record(fit);
    await admin.dropOthers(previous === undefined ? [] : [previous]);
    return { ...fit, rows };
  } catch (error) {
    // A failed build leaves nothing behind.
    collections.building(undefined);
    if ((await admin.liveCollection()) !== collection) {
      await target.writer.close();
      await admin.dropCollection(collection).catch(() => undefined); // the next build that succeeds drops it
    }
    throw error;
  } finally {
    await collections.targets();
    collections.building(undefined);
  }
}
