// npm run eval -- vectors, or: node scripts/eval/vectors.ts. Search quality by the vector alone, on icecat-19k.
import { existsSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { createTfIdfEmbedder, createTfIdfFitter, productText, unfittedModel, type EmbeddedFields, type TfIdfModel } from '@millrace/embedding';

export interface EvalProduct extends EmbeddedFields { readonly sku: string }
/** Skus, best first. */
export type Ranker = (query: string) => readonly string[];

const shared = process.env['MILLRACE_SHARED'] ?? new URL('../../../shared', import.meta.url).pathname;
const folder = `${shared}/data/icecat-19k`;

/** Undefined where the shared data is not there. Split by "\n" alone: some texts hold U+2028. */
export function readIcecat(): EvalProduct[] | undefined {
  const file = `${folder}/products.ndjson.gz`;
  if (!existsSync(file)) return undefined;
  const lines = gunzipSync(readFileSync(file)).toString('utf8').split('\n').filter(Boolean);
  return lines.map((line) => {
    const { sku, name, description, category } = JSON.parse(line);
    return { sku: String(sku), name: String(name), description: description ?? null, category: category ?? null };
  });
}

function readTsv(name: string): string[][] {
  return readFileSync(`${folder}/${name}`, 'utf8').trim().split('\n').slice(1).map((line) => line.split('\t'));
}

/** Ranks by cosine similarity of the query's vector, brute force; ties by sku. */
export function createVectorRanker(products: readonly EvalProduct[], model: TfIdfModel, limit = 10): Ranker {
  const embed = createTfIdfEmbedder(model);
  const rows = products.flatMap((product) => {
    const vector = embed(productText(product));
    return vector === undefined ? [] : [{ sku: product.sku, vector }];
  });
  return (query) => {
    const wanted = embed(query);
    if (wanted === undefined) return [];
    return rows
      .map(({ sku, vector }) => ({ sku, score: vector.reduce((sum, value, at) => sum + value * (wanted[at] ?? 0), 0) }))
      .toSorted((a, b) => b.score - a.score || (a.sku < b.sku ? -1 : 1))
      .slice(0, limit)
      .map(({ sku }) => sku);
  };
}

export function fitOn(products: readonly EvalProduct[], dimensions = 384): TfIdfModel {
  const fitter = createTfIdfFitter({ dimensions });
  for (const product of products) fitter.add(productText(product));
  return fitter.fit();
}

/** NDCG@10 with linear gain; unjudged = 0; only queries with a relevant product. */
export function evaluate(rank: Ranker): { queries: number; ndcgAt10: number } {
  const grades = new Map<string, Map<string, number>>();
  for (const [query = '', sku = '', grade] of readTsv('judgments.tsv')) {
    const judged = grades.get(query) ?? new Map<string, number>();
    grades.set(query, judged.set(sku, Number(grade)));
  }
  const scores: number[] = [];
  for (const [id = '', text = ''] of readTsv('queries.tsv')) {
    const judged = grades.get(id) ?? new Map<string, number>();
    const ideal = dcg([...judged.values()].toSorted((a, b) => b - a));
    if (ideal > 0) scores.push(dcg(rank(text).map((sku) => judged.get(sku) ?? 0)) / ideal);
  }
  return { queries: scores.length, ndcgAt10: scores.reduce((sum, score) => sum + score, 0) / scores.length };
}

const dcg = (gains: readonly number[]): number => gains.slice(0, 10).reduce((sum, gain, rank) => sum + gain / Math.log2(rank + 2), 0);

function main(): void {
  const products = readIcecat();
  if (products === undefined) return console.log(`skipped: no ${folder}`);
  for (const [name, model] of Object.entries({ fitted: fitOn(products), unfitted: unfittedModel({ dimensions: 384 }) })) {
    const { queries, ndcgAt10 } = evaluate(createVectorRanker(products, model));
    console.log(`vectors, ${name} model: NDCG@10 ${ndcgAt10.toFixed(3)} on ${queries} queries (floor 0.60 fitted)`);
  }
}

if (import.meta.main) main();
