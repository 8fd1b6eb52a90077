import { createTermWeigher, createTfIdfEmbedder, createTfIdfFitter, modelId, serializeModel } from '@millrace/embedding';
import type { TermWeights } from '@millrace/embedding';
import type { VectorModel, VectorRecord } from '@millrace/vectors';
import { loadIcecat } from '../../eval/icecat.ts';

export const dimensions = 384;
export const categories = 50;

/** Products with a vector, and the model that made it. */
export interface Catalogue {
  readonly model: VectorModel;
  readonly records: readonly (VectorRecord & { readonly vector: Float32Array })[];
  /** The same products' terms, before they were hashed; in the order of the records. */
  readonly terms: readonly TermWeights[];
}

/** Real product texts where they are at hand, names and descriptions mixed anew once they run out. */
function textsOf(count: number): string[] {
  const products = loadIcecat()?.products ?? Array.from({ length: 8_000 }, (_product, at) => ({ name: `series ${at % 97} part ${at}`, description: `kind ${at % 31} colour ${at % 11} size ${at % 53} maker ${at % 211}` }));
  return Array.from({ length: count }, (_text, at) => {
    const [name, description] = [products[at % products.length], products[(at < products.length ? at : at * 7_919) % products.length]];
    return `${name?.name ?? ''}\n${description?.description ?? ''}`;
  });
}

export function makeCatalogue(count: number): Catalogue {
  const texts = textsOf(count);
  const fitter = createTfIdfFitter({ dimensions });
  for (const text of texts) fitter.add(text);
  const fitted = fitter.fit();
  const embed = createTfIdfEmbedder(fitted);
  const weigh = createTermWeigher(fitted);
  const terms: TermWeights[] = [];
  const records = texts.flatMap((text, at) => {
    const [vector, weights] = [embed(text), weigh(text)];
    if (vector === undefined || weights === undefined) return [];
    terms.push(weights);
    const payload = { name: text.slice(0, 60), category: `category ${at % categories}`, brand: null, merchant_id: 1, price_minor: 100, currency: 'USD', in_stock: true, image_url: null };
    return [{ sku: `sku-${at}`, version: 1, vector, textHash: 'h', payload, embeddedAt: '2026-11-21T10:00:00.000Z' }];
  });
  return { model: { id: modelId(fitted), dimensions, document: serializeModel(fitted) }, records, terms };
}

/** All vectors in one array. */
export function toMatrix({ records }: Catalogue): Float32Array {
  const matrix = new Float32Array(records.length * dimensions);
  records.forEach(({ vector }, row) => matrix.set(vector, row * dimensions));
  return matrix;
}

/** What one would write first: one array, four sums, ten best kept in order. Scores, best first. `isWanted`: the rows that pass a filter. */
export function plainNearest(matrix: Float32Array, query: Float32Array, isWanted: (row: number) => boolean = () => true): { row: number; score: number }[] {
  const best: { row: number; score: number }[] = [];
  for (let row = 0, start = 0; start < matrix.length; row++, start += dimensions) {
    if (!isWanted(row)) continue;
    let [a, b, c, d] = [0, 0, 0, 0];
    for (let at = 0; at < dimensions; at += 4) {
      a += (matrix[start + at] ?? 0) * (query[at] ?? 0);
      b += (matrix[start + at + 1] ?? 0) * (query[at + 1] ?? 0);
      c += (matrix[start + at + 2] ?? 0) * (query[at + 2] ?? 0);
      d += (matrix[start + at + 3] ?? 0) * (query[at + 3] ?? 0);
    }
    const score = a + b + c + d;
    if (best.length === 10 && score <= (best[9]?.score ?? 0)) continue;
    best.push({ row, score });
    best.sort((x, y) => y.score - x.score);
    best.length = Math.min(best.length, 10);
  }
  return best;
}
