import { createTfIdfFitter, productText, unfittedModel } from '@millrace/embedding';
import type { TfIdfModel } from '@millrace/embedding';
import type { ReadExport } from '@millrace/projection';

const BATCH = 500;

export interface FitModelDeps {
  readonly readExport: ReadExport;
  readonly dimensions: number;
  /** Below this many products every term weighs the same (idf = 1). */
  readonly minProducts: number;
}

/** A model of the whole catalogue as it is now. Reads the export once; bounded memory. */
export async function fitModel({ readExport, dimensions, minProducts }: FitModelDeps, signal: AbortSignal): Promise<TfIdfModel> {
  const fitter = createTfIdfFitter({ dimensions });
  await readExport({ batchSize: BATCH, signal }, async (changes) => {
    for (const { product } of changes) if (product) fitter.add(productText(product));
  });
  return fitter.documents < minProducts ? unfittedModel({ dimensions }) : fitter.fit();
}
