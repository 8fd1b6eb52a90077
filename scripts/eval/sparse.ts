import type { TermWeights } from '@millrace/embedding';

/** Exact nearest neighbours by terms: of each term the rows that have it, with their weights. */
export interface SparseIndex {
  /** Entries in all rows. */
  readonly entries: number;
  nearest(query: TermWeights, limit: number): { row: number; score: number }[];
}

interface Posting { readonly rows: Int32Array; readonly weights: Float32Array }

export function createSparseIndex(vectors: readonly (TermWeights | undefined)[]): SparseIndex {
  const postings = invert(vectors);
  const scores = new Float32Array(vectors.length);
  return {
    entries: vectors.reduce((sum, vector) => sum + (vector?.terms.length ?? 0), 0),
    nearest(query, limit) {
      scores.fill(0);
      query.terms.forEach((term, at) => addTo(scores, postings.get(term), query.weights[at] ?? 0));
      return best(scores, limit);
    },
  };
}

function invert(vectors: readonly (TermWeights | undefined)[]): ReadonlyMap<number, Posting> {
  const counts = new Map<number, number>();
  for (const vector of vectors) for (const term of vector?.terms ?? []) counts.set(term, (counts.get(term) ?? 0) + 1);
  const postings = new Map([...counts].map(([term, count]) => [term, { rows: new Int32Array(count), weights: new Float32Array(count) }]));
  const used = new Map<number, number>();
  vectors.forEach((vector, row) => {
    vector?.terms.forEach((term, at) => {
      const end = used.get(term) ?? 0;
      const posting = postings.get(term);
      if (posting !== undefined) [posting.rows[end], posting.weights[end]] = [row, vector.weights[at] ?? 0];
      used.set(term, end + 1);
    });
  });
  return postings;
}

function addTo(scores: Float32Array, posting: Posting | undefined, weight: number): void {
  if (posting === undefined) return;
  const { rows, weights } = posting;
  for (let at = 0; at < rows.length; at++) {
    const row = rows[at] ?? 0;
    scores[row] = (scores[row] ?? 0) + weight * (weights[at] ?? 0);
  }
}

function best(scores: Float32Array, limit: number): { row: number; score: number }[] {
  const kept: { row: number; score: number }[] = [];
  let floor = 0;
  for (let row = 0; row < scores.length; row++) {
    const score = scores[row] ?? 0;
    if (score <= floor) continue;
    let at = kept.length;
    while (at > 0 && (kept[at - 1]?.score ?? 0) < score) at--;
    kept.splice(at, 0, { row, score });
    if (kept.length > limit) kept.pop();
    if (kept.length === limit) floor = kept[limit - 1]?.score ?? 0;
  }
  return kept;
}
