// npm run eval -- vectors: what vectors find on the judged queries of icecat-19k, by their dimensions, and what the same weights find before they are hashed.
import { createTermWeigher, createTfIdfEmbedder, createTfIdfFitter, productText, unfittedModel } from '@millrace/embedding';
import type { EmbeddedFields, TfIdfModel } from '@millrace/embedding';
import type { BenchRow } from '../bench/support/measure.ts';
import { row } from '../bench/support/measure.ts';
import { loadIcecat } from './icecat.ts';
import { ndcgAt10 } from './metrics.ts';
import type { Ranker } from './metrics.ts';
import { createSparseIndex } from './sparse.ts';

type EmbeddedProduct = EmbeddedFields & { readonly sku: string };

/** Ranks by cosine similarity of the query's own vector, brute force, above `minScore`; ties by sku. */
export function createVectorRanker(products: readonly EmbeddedProduct[], model: TfIdfModel, { limit = 100, minScore = -1 }: { readonly limit?: number; readonly minScore?: number } = {}): Ranker {
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
      .filter(({ score }) => score > minScore)
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

/** Ranks by the same weights before they are hashed: what 384 dimensions lose. */
export function createTermRanker(products: readonly EmbeddedProduct[], model: TfIdfModel, limit = 100): Ranker {
  const weigh = createTermWeigher(model);
  const index = createSparseIndex(products.map((product) => weigh(productText(product))));
  return async (query) => {
    const wanted = weigh(query);
    return wanted === undefined ? [] : index.nearest(wanted, limit).flatMap((hit) => products[hit.row]?.sku ?? []);
  };
}

const dimensionsTried = [384, 1_024];

/** The baseline of each is the ranking by terms; beside it the mean difference over the queries and its standard error. */
export async function run(): Promise<BenchRow[]> {
  const icecat = loadIcecat();
  if (icecat === undefined) throw new Error('the shared data folder (MILLRACE_SHARED, else ../shared) has no icecat-19k');
  const { products } = icecat;
  const queries = icecat.queries.filter(({ grades }) => [...grades.values()].some((grade) => grade > 0));
  const gains = async (rank: Ranker): Promise<number[]> => {
    const all: number[] = [];
    for (const { text, grades } of queries) all.push(ndcgAt10(await rank(text), grades));
    return all;
  };
  const rows: BenchRow[] = [];
  const models = [['unfitted', unfittedModel({ dimensions: dimensionsTried[0] ?? 384 })], ...dimensionsTried.map((dimensions) => ['fitted', fitOn(products, dimensions)] as const)] as const;
  for (const [name, model] of models) {
    const terms = await gains(createTermRanker(products, model));
    const vectors = await gains(createVectorRanker(products, model));
    const gap = terms.map((gain, at) => gain - (vectors[at] ?? 0));
    const of = `NDCG@10, ${name}, ${model.dimensions} dimensions`;
    rows.push(row(of, mean(vectors), { unit: '', baseline: mean(terms), ratio: mean(vectors) / mean(terms) }));
    rows.push(row(`${of}: terms find more by`, mean(gap), { unit: `± ${standardError(gap).toFixed(3)}` }));
  }
  return rows;
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
const standardError = (values: readonly number[]): number => Math.sqrt(values.reduce((sum, value) => sum + (value - mean(values)) ** 2, 0) / (values.length - 1) / values.length);

if (import.meta.main) console.table(await run());
