import { createTfIdfEmbedder, createTfIdfFitter, productText } from '@millrace/embedding';
import type { EmbeddedFields, TfIdfModel } from '@millrace/embedding';
import type { Ranker } from './metrics.ts';

type EmbeddedProduct = EmbeddedFields & { readonly sku: string };

/** Ranks by cosine similarity of the query's own vector, brute force; ties by sku. */
export function createVectorRanker(products: readonly EmbeddedProduct[], model: TfIdfModel, limit = 100): Ranker {
  const embed = createTfIdfEmbedder(model);
  const rows = products.flatMap((product) => {
    const vector = embed(productText(product));
    return vector === undefined ? [] : [{ sku: product.sku, vector }];
  });
  return async (query) => {
    const wanted = embed(query);
    if (wanted === undefined) return [];
    return rows
      .map(({ sku, vector }) => ({ sku, score: vector.reduce((sum, value, at) => sum + value * (wanted[at] ?? 0), 0) }))
      .toSorted((a, b) => b.score - a.score || (a.sku < b.sku ? -1 : 1))
      .slice(0, limit)
      .map(({ sku }) => sku);
  };
}

/** The model as embedding-worker would fit it on these products. */
export function fitOn(products: readonly EmbeddedProduct[], dimensions = 384): TfIdfModel {
  const fitter = createTfIdfFitter({ dimensions });
  for (const product of products) fitter.add(productText(product));
  return fitter.fit();
}
