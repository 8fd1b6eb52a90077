import { decodeCursor, encodeCursor } from '../cursor.ts';
import { highlight, stemOf } from '../highlight.ts';
import type { SearchAnswer, SearchDocument, SearchHit, SearchQuery } from '../ports.ts';
import { analyseQuery } from '../text.ts';
import type { Vocabulary } from '../vocabulary.ts';
import { countFacets } from './facets.ts';
import { findMatches, resolveText } from './match.ts';
import type { Match } from './match.ts';
import { effectiveSort, firstMatches, sortKey, startAfter } from './order.ts';
import type { Database } from './sqlite.ts';

/** Answers one query from one snapshot of the file. Throws InvalidCursorError for a cursor of another query. */
export function searchDatabase(db: Database, vocabulary: () => Vocabulary, query: SearchQuery): SearchAnswer {
  const cursor = decodeCursor('embedded', query);
  const analysed = analyseQuery(query.q);
  // One read transaction: the matches, the facets and the products belong together while other processes write.
  db.exec('begin');
  try {
    const text = analysed.isEmpty ? undefined : resolveText(db, vocabulary, analysed);
    const matches = findMatches(db, query, text);
    const sort = effectiveSort(query.sort, text !== undefined);
    const page = firstMatches(matches, { sort, start: startAfter(cursor, matches, sort), count: query.limit + 1 });
    const hits = page.slice(0, query.limit);
    const stems = new Set((text?.groups ?? []).flatMap((group) => group.words).map(stemOf));
    const last = hits.at(-1);
    return {
      hits: hits.map((match) => toHit(db, match, stems)),
      total: matches.length,
      facets: countFacets(db, matches),
      ...(page.length > query.limit && last !== undefined
        ? { next: encodeCursor('embedded', query, { key: sortKey(last, sort), sku: last.sku, version: last.version }) }
        : {}),
    };
  } finally {
    db.exec('commit');
  }
}

function toHit(db: Database, { id, score }: Match, stems: ReadonlySet<string>): SearchHit {
  const product: SearchDocument = JSON.parse(String(db.row('select product from body where id = ?', id)?.[0]));
  return { product, score, highlights: highlight(product, stems) };
}
