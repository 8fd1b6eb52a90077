import { bucketsOf } from './buckets.ts';
import type { Embed, TfIdfModel } from './ports.ts';
import { termOf } from './terms.ts';
import { forEachToken } from './tokenize.ts';

/** Tokens and terms that are remembered before both caches start afresh: some 30 MB at most. */
const maxCached = 65_536;

interface Term {
  readonly buckets: Int16Array;
  readonly idf: number;
  /** Occurrences in the text at hand; 0 between two texts. */
  count: number;
}

/**
 * Embeds by the model: sublinear tf (1 + ln tf) times idf, spread over the term's buckets, scaled to length 1.
 * Pure in effect: the same text gives the same numbers in every process. Not to be shared between threads.
 */
export function createTfIdfEmbedder(model: TfIdfModel): Embed {
  const termFor = createTermCache(model);
  const sum = new Float64Array(model.dimensions);
  return (text) => {
    const terms: Term[] = [];
    const lookup = termFor();
    forEachToken(text, (token) => {
      const term = lookup(token);
      if (term === undefined) return;
      if (term.count === 0) terms.push(term);
      term.count++;
    });
    if (terms.length === 0) return undefined;
    addUp(terms, sum);
    return normalised(sum);
  };
}

/** A function a text, so that the caches are only ever emptied between two texts: a term's count must stay in one place. */
function createTermCache(model: TfIdfModel): () => (token: string) => Term | undefined {
  const idf = new Map(Object.entries(model.idf));
  const shape = { dimensions: model.dimensions, count: model.bucketsPerTerm };
  const byToken = new Map<string, Term | null>();
  const byStem = new Map<string, Term>();

  const create = (token: string): Term | undefined => {
    const stem = termOf(token);
    if (stem === undefined) return undefined;
    const known = byStem.get(stem);
    if (known !== undefined) return known;
    const term = { buckets: bucketsOf(stem, shape), idf: idf.get(stem) ?? model.defaultIdf, count: 0 };
    byStem.set(stem, term);
    return term;
  };
  const lookup = (token: string): Term | undefined => {
    const cached = byToken.get(token);
    if (cached !== undefined) return cached ?? undefined;
    const term = create(token);
    byToken.set(token, term ?? null);
    return term;
  };
  return () => {
    if (byToken.size >= maxCached) {
      byToken.clear();
      byStem.clear();
    }
    return lookup;
  };
}

/** Fills `sum` with the weighted terms and sets every count back to 0. */
function addUp(terms: readonly Term[], sum: Float64Array): void {
  sum.fill(0);
  for (const term of terms) {
    const weight = (term.count === 1 ? 1 : 1 + Math.log(term.count)) * term.idf;
    const buckets = term.buckets;
    const half = buckets.length >> 1;
    term.count = 0;
    for (let at = 0; at < half; at++) {
      const added = buckets[at] ?? 0;
      const subtracted = buckets[at + half] ?? 0;
      sum[added] = (sum[added] ?? 0) + weight;
      sum[subtracted] = (sum[subtracted] ?? 0) - weight;
    }
  }
}

/** Undefined where the terms cancel each other out. */
function normalised(sum: Float64Array): Float32Array | undefined {
  let squares = 0;
  for (let at = 0; at < sum.length; at++) {
    const value = sum[at] ?? 0;
    squares += value * value;
  }
  if (!(squares > 0)) return undefined;
  const scale = 1 / Math.sqrt(squares);
  const vector = new Float32Array(sum.length);
  for (let at = 0; at < vector.length; at++) vector[at] = (sum[at] ?? 0) * scale;
  return vector;
}
