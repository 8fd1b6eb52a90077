import { hashOf } from './buckets.ts';
import type { TfIdfModel } from './ports.ts';
import { termOf } from './terms.ts';
import { forEachToken } from './tokenize.ts';

/** A text's terms by their 32-bit hash, ascending, and their weights: a vector of length 1 in as many dimensions as there are hashes. */
export interface TermWeights { readonly terms: Uint32Array; readonly weights: Float32Array }

/**
 * The weights that a model gives a text's terms, before they are spread over a few hundred dimensions: what a vector loses by that can be
 * measured against it. Undefined where no term is left.
 */
export function createTermWeigher(model: TfIdfModel): (text: string) => TermWeights | undefined {
  const idf = new Map(Object.entries(model.idf));
  return (text) => {
    const counts = new Map<string, number>();
    forEachToken(text, (token) => {
      const term = termOf(token);
      if (term !== undefined) counts.set(term, (counts.get(term) ?? 0) + 1);
    });
    if (counts.size === 0) return undefined;
    const byHash = new Map<number, number>();
    for (const [term, count] of counts) {
      const hash = hashOf(term) >>> 0;
      byHash.set(hash, (byHash.get(hash) ?? 0) + (1 + Math.log(count)) * (idf.get(term) ?? model.defaultIdf));
    }
    const terms = Uint32Array.from(byHash.keys()).toSorted();
    const length = Math.hypot(...byHash.values());
    return { terms, weights: Float32Array.from(terms, (term) => (byHash.get(term) ?? 0) / length) };
  };
}
