/** Which documents match a query, and how well: one pass over the matching rows, which are narrow. */
import type { RankingPart, SearchQuery } from '../ports.ts';
import type { Reading } from '../reading.ts';
import { marksWorth, TIER } from '../tiers.ts';
import type { AnalysedQuery } from '../text.ts';
import { CODE_KIND, EQUAL_WEIGHTS, TEXT_WEIGHTS } from './schema.ts';
import { scoreTerms } from './scores.ts';
import type { TermGroup } from './scores.ts';
import type { Cell, Database } from './sqlite.ts';
import { exactExpression, phraseExpression } from './words.ts';

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
  /** BM25 of the words. */
  readonly textScore: number;
  /** The words' score and the tiers, after merchandising. */
  readonly score: number;
}

export interface TextQuery {
  readonly groups: readonly TermGroup[];
  /** One for each term with marks: it is there as it was written. */
  readonly marked: readonly { readonly expression: string; readonly worth: number }[];
  readonly codes: ReadonlyMap<number, number>;
  readonly without: ReadonlySet<RankingPart>;
}

const anyOf = (expressions: readonly string[]): string => (expressions.length === 1 ? (expressions[0] ?? '') : `(${[...expressions].join(' OR ')})`);

/** Turns the terms into full-text expressions, and finds the products that are named by a code. */
export function toTextQuery(db: Database, reading: Reading, { analysed, without }: { analysed: AnalysedQuery; without: ReadonlySet<RankingPart> }): TextQuery {
  const groups = reading.map(({ words, alternatives }): TermGroup => {
    const literal = anyOf(words.map((word) => phraseExpression([word])));
    const others = alternatives.map((alternative) => phraseExpression(alternative.words));
    return { literal, alternatives: others, expression: anyOf([...new Set([literal, ...others])].toSorted()) };
  });
  const withMarks = without.has('tones') ? [] : reading.flatMap(({ accented, alternatives }) => (accented === undefined ? [] : [{ accented, alternatives }]));
  const marked = withMarks.map(({ accented, alternatives }) => ({
    expression: anyOf([exactExpression(accented), ...alternatives.map(({ words }) => phraseExpression(words))]),
    worth: marksWorth(accented, withMarks.length),
  }));
  return { groups, marked, without, codes: without.has('codes_first') ? new Map() : findCodes(db, analysed) };
}

function findCodes(db: Database, analysed: AnalysedQuery): Map<number, number> {
  const codes = new Map<number, number>();
  const lookUp = (code: string, boostOf: (kind: number) => number): void => {
    for (const [id, kind] of db.rows('select id, kind from code where code = ?', code)) {
      codes.set(Number(id), Math.max(codes.get(Number(id)) ?? 0, boostOf(Number(kind))));
    }
  };
  for (const code of analysed.wholeCodes) lookUp(code, (kind) => (kind === CODE_KIND.sku ? TIER.sku : TIER.code));
  for (const code of analysed.wordCodes) lookUp(code, () => TIER.codeInWords);
  return codes;
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
    return db.rows(`select ${COLUMNS} from doc d where d.deleted_at is null${filter.sql}`, query.currency, ...filter.parameters).map((row) => toMatch(row, 0, 0));
  }
  const matches = textMatches(db, query, text, filter);
  const missing = new Set(text.codes.keys());
  for (const match of matches) missing.delete(match.id);
  for (const id of missing) {
    const row = db.row(`select ${COLUMNS} from doc d where d.id = ? and d.deleted_at is null${filter.sql}`, query.currency, id, ...filter.parameters);
    if (row !== undefined) matches.push(toMatch(row, 0, text.codes.get(id) ?? 0));
  }
  return matches;
}

/** Products of these skus that pass the filters, matching or not. */
export function findPinned(db: Database, query: SearchQuery, skus: readonly string[]): Match[] {
  const filter = filterOf(query);
  const sql = `select ${COLUMNS} from doc d where d.sku in (select value from json_each(?)) and d.deleted_at is null${filter.sql}`;
  return db.rows(sql, query.currency, JSON.stringify(skus), ...filter.parameters).map((row) => toMatch(row, 0, 0));
}

function textMatches(db: Database, query: SearchQuery, text: TextQuery, filter: Filter): Match[] {
  const { groups, codes, without } = text;
  if (groups.length === 0) return [];
  const tierOf = tiersOf(db, text);
  const weights = without.has('field_weights') ? EQUAL_WEIGHTS : TEXT_WEIGHTS;
  const scores = groups.some(({ alternatives }) => alternatives.length > 0) ? scoreTerms(db, groups, weights) : undefined;
  // bm25() counts a word twice that is asked twice; where the scores come from elsewhere each expression is enough once.
  const expressions = scores === undefined ? groups.map(({ expression }) => expression) : new Set(groups.flatMap(({ literal, alternatives }) => [literal, ...alternatives]));
  return db
    .rows(
      `select ${COLUMNS}, ${scores === undefined ? `-bm25(text, ${weights})` : '0'} from text join doc d on d.id = text.rowid where text match ?${filter.sql}`,
      query.currency, [...expressions].join(' OR '), ...filter.parameters,
    )
    .map((row) => toMatch(row, scores === undefined ? Number(row[8]) : (scores.get(row[0] ?? null) ?? 0), tierOf(row[0] ?? null) + (codes.get(Number(row[0])) ?? 0)));
}

/** What a document gets for having all terms, and those with marks as they were written. */
function tiersOf(db: Database, { groups, marked, without }: TextQuery): (id: Cell) => number {
  const idsOf = (expression: string): Set<Cell> => new Set(db.rows('select rowid from text where text match ?', expression).map(([id]) => id ?? null));
  const isAllFirst = !without.has('all_terms_first');
  const complete = groups.length > 1 && isAllFirst ? idsOf([...new Set(groups.map(({ expression }) => expression))].join(' AND ')) : undefined;
  const written = marked.map(({ expression, worth }) => ({ ids: idsOf(expression), worth }));
  return (id) => {
    let tier = isAllFirst && (complete === undefined || complete.has(id)) ? TIER.allTerms : 0;
    for (const { ids, worth } of written) if (ids.has(id)) tier += worth;
    return tier;
  };
}

const toMatch = (row: readonly Cell[], textScore: number, tier: number): Match => ({
  id: Number(row[0]), sku: String(row[1]), version: Number(row[2]), category: row[3] ?? null, brand: row[4] ?? null, merchant: row[5] ?? null,
  priceMinor: typeof row[6] === 'number' ? row[6] : null, createdMs: Number(row[7]), textScore, score: tier + textScore,
});
