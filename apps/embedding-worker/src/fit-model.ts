import { createTfIdfFitter, productText, unfittedModel } from '@millrace/embedding';
import type { EmbeddingModel } from '@millrace/embedding';
import type { ReadExport } from '@millrace/projection';
import type { ModelDefinition } from './model-definition.ts';

const BATCH = 500;

export interface FitModelDeps {
  readonly readExport: ReadExport;
  readonly definition: ModelDefinition;
  /** Below this many products every term weighs the same (idf = 1). */
  readonly minProducts: number;
}

/** The model of a new collection. TF-IDF is fitted on the whole catalogue as it is now, in one reading with bounded memory; a service's model is what it is. */
export async function fitModel({ readExport, definition, minProducts }: FitModelDeps, signal: AbortSignal): Promise<EmbeddingModel> {
  if (definition.kind === 'openai') return definition;
  const { dimensions } = definition;
  const fitter = createTfIdfFitter({ dimensions });
  await readExport({ batchSize: BATCH, signal }, async (changes) => {
    for (const { product } of changes) if (product) fitter.add(productText(product));
  });
  return fitter.documents < minProducts ? unfittedModel({ dimensions }) : fitter.fit();
}
