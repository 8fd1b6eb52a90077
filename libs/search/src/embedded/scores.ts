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
 * A document gets the best way in which it writes a term, not the sum of all. A synonym is no rarer than the word itself, or it would outrank it; one of a
 * word that no document has stands for it.
 */
export function scoreTerms(db: Database, groups: readonly TermGroup[], weights: string): ReadonlyMap<Cell, number> {
  const documents = Number(db.row('select count(*) from text_docsize')?.[0]);
  const read = (expression: string): Scores =>
    new Map(db.rows(`select rowid, -bm25(text, ${weights}) from text where text match ?`, expression).map((row) => [row[0] ?? null, Number(row[1])]));
  // Words of one query that are synonyms of each other have the same alternatives: each is looked up once.
  const known = new Map<string, Scores>();
  const scoresOf = (expression: string): Scores => {
    const scores = known.get(expression) ?? read(expression);
    known.set(expression, scores);
    return scores;
  };
  const total: Scores = new Map();
  for (const { literal, alternatives } of groups) {
    const best = new Map(scoresOf(literal));
    const rarity = best.size === 0 ? Infinity : inverseFrequency(documents, best.size);
    for (const alternative of alternatives) {
      const scores = scoresOf(alternative);
      const scale = EXPANSION_WEIGHT * Math.min(1, rarity / inverseFrequency(documents, scores.size));
      for (const [id, score] of scores) best.set(id, Math.max(best.get(id) ?? 0, score * scale));
    }
    for (const [id, score] of best) total.set(id, (total.get(id) ?? 0) + score);
  }
  return total;
}
