/** Which documents match a query, and how well: one pass over the matching rows, which are narrow. */
import type { SearchQuery } from '../ports.ts';
import { allowedEdits } from '../text.ts';
import type { AnalysedQuery, QueryTerm } from '../text.ts';
import type { Vocabulary } from '../vocabulary.ts';
import { CODE_KIND, exactToken, TEXT_WEIGHTS } from './schema.ts';
import type { Cell, Database } from './sqlite.ts';

const MAX_CORRECTIONS = 3;
/** Added to BM25, which stays below 1,000 for 24 terms, so that each tier lies wholly above the next one. */
const TIER = { sku: 8_000, code: 4_000, codeInWords: 2_000, allTerms: 1_000 } as const;

export interface Match {
  readonly id: number;
  readonly sku: string;
  readonly version: number;
  readonly category: Cell;
  readonly brand: Cell;
  readonly merchant: Cell;
  /** In the query's currency; null where the product has no price in it. */
  readonly priceMinor: number | null;
  readonly createdMs: number;
  readonly score: number;
}

/** Words of which a document must have one, for one term of the query. */
interface TermGroup { readonly expression: string; readonly words: readonly string[] }

export interface TextQuery { readonly groups: readonly TermGroup[]; readonly codes: ReadonlyMap<number, number> }

const quoted = (word: string): string => `"${word.replaceAll('"', '')}"`;

const isKnown = (db: Database, word: string): boolean => db.row('select 1 from text where text match ? limit 1', quoted(word)) !== undefined;

/** Documents that contain the word; corrections prefer the commoner word. */
const frequencyOf = (db: Database, word: string): number => Number(db.row('select count(*) from text where text match ?', quoted(word))?.[0]);

/** The nearest known words of a term that no document has; empty for known terms, short ones and those with a digit. */
export function corrections(db: Database, vocabulary: () => Vocabulary, word: string): string[] {
  const edits = allowedEdits(word);
  if (edits === 0 || isKnown(db, word)) return [];
  return vocabulary()
    .nearest(word, edits)
    .map((candidate) => ({ candidate, frequency: frequencyOf(db, candidate) }))
    .filter(({ frequency }) => frequency > 0)
    .toSorted((a, b) => b.frequency - a.frequency)
    .slice(0, MAX_CORRECTIONS)
    .map(({ candidate }) => candidate);
}

function groupOf(db: Database, vocabulary: () => Vocabulary, term: QueryTerm): TermGroup {
  const corrected = corrections(db, vocabulary, term.folded);
  const words = corrected.length > 0 ? corrected : [term.folded];
  const expressions = words.map(quoted);
  if (term.accented !== undefined) expressions.push(`exact : ${quoted(exactToken(term.accented))}`);
  return { expression: expressions.length === 1 ? (expressions[0] ?? '') : `(${expressions.join(' OR ')})`, words };
}

/** Turns analysed words into full-text expressions, with corrections, and finds the products that are named by a code. */
export function resolveText(db: Database, vocabulary: () => Vocabulary, query: AnalysedQuery): TextQuery {
  const codes = new Map<number, number>();
  const lookUp = (code: string, boostOf: (kind: number) => number): void => {
    for (const [id, kind] of db.rows('select id, kind from code where code = ?', code)) {
      codes.set(Number(id), Math.max(codes.get(Number(id)) ?? 0, boostOf(Number(kind))));
    }
  };
  for (const code of query.wholeCodes) lookUp(code, (kind) => (kind === CODE_KIND.sku ? TIER.sku : TIER.code));
  for (const code of query.wordCodes) lookUp(code, () => TIER.codeInWords);
  return { groups: query.terms.map((term) => groupOf(db, vocabulary, term)), codes };
}

interface Filter { readonly sql: string; readonly parameters: (string | number)[] }

function filterOf(query: SearchQuery): Filter {
  const conditions: string[] = [];
  const parameters: (string | number)[] = [];
  const add = (condition: string, ...values: (string | number)[]): void => {
    conditions.push(` and ${condition}`);
    parameters.push(...values);
  };
  if (query.minPriceMinor !== undefined || query.maxPriceMinor !== undefined) {
    add('d.currency = ? and d.price between ? and ?', query.currency, query.minPriceMinor ?? 0, query.maxPriceMinor ?? Number.MAX_SAFE_INTEGER);
  }
  if (query.merchantId !== undefined) add('d.merchant = ?', query.merchantId);
  if (query.category !== undefined) add('d.category = (select id from category where name = ?)', query.category);
  if (query.brand !== undefined) add('d.brand = (select id from brand where name = ?)', query.brand);
  if (query.inStock !== undefined) add('d.in_stock = ?', query.inStock ? 1 : 0);
  return { sql: conditions.join(''), parameters };
}

const COLUMNS = 'd.id, d.sku, d.version, d.category, d.brand, d.merchant, case when d.currency = ? then d.price end, d.created';

/** Every matching document, in no order. `text` undefined = no words were asked: everything that passes the filters. */
export function findMatches(db: Database, query: SearchQuery, text: TextQuery | undefined): Match[] {
  const filter = filterOf(query);
  if (text === undefined) {
    return db
      .rows(`select ${COLUMNS}, 0 from doc d where d.deleted_at is null${filter.sql}`, query.currency, ...filter.parameters)
      .map((row) => toMatch(row, 0));
  }
  const matches = textMatches(db, query, text, filter);
  const missing = new Set(text.codes.keys());
  for (const match of matches) missing.delete(match.id);
  for (const id of missing) {
    const row = db.row(`select ${COLUMNS}, 0 from doc d where d.id = ? and d.deleted_at is null${filter.sql}`, query.currency, id, ...filter.parameters);
    if (row !== undefined) matches.push(toMatch(row, text.codes.get(id) ?? 0));
  }
  return matches;
}

function textMatches(db: Database, query: SearchQuery, { groups, codes }: TextQuery, filter: Filter): Match[] {
  if (groups.length === 0) return [];
  const expressions = groups.map((group) => group.expression);
  const complete = new Set<Cell>();
  if (groups.length > 1) for (const [id] of db.rows('select rowid from text where text match ?', expressions.join(' AND '))) complete.add(id ?? null);
  return db
    .rows(
      `select ${COLUMNS}, bm25(text, ${TEXT_WEIGHTS}) from text join doc d on d.id = text.rowid where text match ?${filter.sql}`,
      query.currency, expressions.join(' OR '), ...filter.parameters,
    )
    .map((row) => toMatch(row, (complete.has(row[0] ?? null) || groups.length === 1 ? TIER.allTerms : 0) + (codes.get(Number(row[0])) ?? 0)));
}

const toMatch = (row: readonly Cell[], tier: number): Match => ({
  id: Number(row[0]), sku: String(row[1]), version: Number(row[2]), category: row[3] ?? null, brand: row[4] ?? null, merchant: row[5] ?? null,
  priceMinor: typeof row[6] === 'number' ? row[6] : null, createdMs: Number(row[7]), score: tier - Number(row[8]),
});
