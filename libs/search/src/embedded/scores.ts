/** Scores of a query with synonyms: for each term the best of itself and of what else it may be written as. */
import { EXPANSION_WEIGHT } from '../reading.ts';
import type { Cell, Database } from './sqlite.ts';

export interface TermGroup {
  readonly literal: string;
  /** What else the term may be written as, one expression each. */
  readonly alternatives: readonly string[];
  /** All of it. */
  readonly expression: string;
}

/** As FTS5's bm25() does it (https://sqlite.org/fts5.html#the_bm25_function). */
const inverseFrequency = (documents: number, having: number): number => Math.max(1e-6, Math.log((documents - having + 0.5) / (having + 0.5)));

type Scores = Map<Cell, number>;

/**
 * Ways to write one term count as one word: all are as rare as the commonest of them, or a rare synonym would outrank the word itself
 * (as Lucene's SynonymQuery does); a document gets the best of its ways, not their sum.
 */
export function scoreTerms(db: Database, groups: readonly TermGroup[], weights: string): ReadonlyMap<Cell, number> {
  const documents = Number(db.row('select count(*) from text_docsize')?.[0]);
  const scoresOf = (expression: string): Scores =>
    new Map(db.rows(`select rowid, -bm25(text, ${weights}) from text where text match ?`, expression).map((row) => [row[0] ?? null, Number(row[1])]));
  const total: Scores = new Map();
  for (const { literal, alternatives } of groups) {
    const ways = [literal, ...alternatives].map(scoresOf);
    const common = inverseFrequency(documents, Math.max(...ways.map((way) => way.size)));
    const best: Scores = new Map();
    for (const [at, way] of ways.entries()) {
      const scale = alternatives.length === 0 ? 1 : (common / inverseFrequency(documents, way.size)) * (at === 0 ? 1 : EXPANSION_WEIGHT);
      for (const [id, score] of way) best.set(id, Math.max(best.get(id) ?? 0, score * scale));
    }
    for (const [id, score] of best) total.set(id, (total.get(id) ?? 0) + score);
  }
  return total;
}
