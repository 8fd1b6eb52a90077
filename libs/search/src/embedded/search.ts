import { decodeCursor, encodeCursor } from '../cursor.ts';
import { explain } from '../explain.ts';
import { highlight, stemOf } from '../highlight.ts';
import type { RankingPart, SearchAnswer, SearchDocument, SearchHit, SearchQuery } from '../ports.ts';
import { correctedText, readQuery } from '../reading.ts';
import type { Reading } from '../reading.ts';
import { analyseQuery } from '../text.ts';
import type { AnalysedQuery } from '../text.ts';
import type { Vocabulary } from '../vocabulary.ts';
import { countFacets } from './facets.ts';
import { findMatches, toTextQuery } from './match.ts';
import type { Match } from './match.ts';
import { merchandise } from './merchandise.ts';
import { firstMatches, keyOf, orderOf, startAfter } from './order.ts';
import type { Database } from './sqlite.ts';
import { understand } from './words.ts';

export interface SearchTools {
  readonly vocabulary: () => Vocabulary;
  readonly without: ReadonlySet<RankingPart>;
}

/** Answers one query from one snapshot of the file. Throws InvalidCursorError for a cursor of another query. */
export function searchDatabase(db: Database, { vocabulary, without }: SearchTools, query: SearchQuery): SearchAnswer {
  const cursor = decodeCursor('embedded', query);
  const analysed = analyseQuery(query.q);
  const hasWords = !analysed.isEmpty;
  // One read transaction: the matches, the facets and the products belong together while other processes write.
  db.exec('begin');
  try {
    const reading = understand(db, readQuery(analysed, query), { vocabulary, without });
    const found = findMatches(db, query, hasWords ? toTextQuery(db, reading, { analysed, without }) : undefined);
    const matches = merchandise(db, query, { matches: found, hasWords });
    const order = orderOf(query, hasWords);
    const page = firstMatches(matches, { order, start: startAfter(cursor, matches, order), count: query.limit + 1 });
    const last = page.slice(0, query.limit).at(-1);
    const hits = toHits(db, page.slice(0, query.limit), { query, analysed, reading });
    const didYouMean = correctedText(query.q ?? '', reading, () => hits.map(({ product }) => product.name));
    return {
      hits,
      total: matches.length,
      facets: countFacets(db, matches),
      ...(page.length > query.limit && last !== undefined ? { next: encodeCursor('embedded', query, { ...keyOf(last, order), version: last.version }) } : {}),
      ...(didYouMean === undefined ? {} : { didYouMean }),
    };
  } finally {
    db.exec('commit');
  }
}

function toHits(db: Database, matches: readonly Match[], asked: { query: SearchQuery; analysed: AnalysedQuery; reading: Reading }): SearchHit[] {
  const stems = new Set(asked.reading.flatMap(({ words, alternatives }) => [...words, ...alternatives.flatMap((alternative) => alternative.words)]).map(stemOf));
  return matches.map(({ id, score }) => {
    const product: SearchDocument = JSON.parse(String(db.row('select product from body where id = ?', id)?.[0]));
    const hit = { product, score, highlights: highlight(product, stems) };
    return asked.query.explain === true ? { ...hit, explanation: explain(product, asked) } : hit;
  });
}
