import { stemOf } from './highlight.ts';
import type { SearchDocument, SearchQuery } from './ports.ts';
import type { ReadTerm, Reading } from './reading.ts';
import type { ProductSelector } from './relevance.ts';
import { accented, codeOf, codesOf, wordsOf } from './text.ts';
import type { AnalysedQuery } from './text.ts';

const FIELDS = ['name', 'brand', 'category', 'mpn', 'sku', 'description'] as const;

/** Is the product one that the selector names? */
export const isSelected = ({ sku, category, brand }: Pick<SearchDocument, 'sku' | 'category' | 'brand'>, select: ProductSelector): boolean =>
  (select.skus === undefined || select.skus.includes(sku)) && (select.category === undefined || select.category === category) && (select.brand === undefined || select.brand === brand);

interface Field { readonly name: string; readonly stems: readonly string[]; readonly marked: ReadonlySet<string> }

interface FoundTerm { readonly term: ReadTerm; readonly fields: readonly string[]; readonly as?: string }

/** Why the product is in the answer and where it stands, in plain words; the same for every engine, because it looks at the product itself. */
export function explain(product: SearchDocument, { query, analysed, reading }: { query: SearchQuery; analysed: AnalysedQuery; reading: Reading }): string[] {
  const fields = FIELDS.map((name): Field => {
    const words = [...wordsOf((product[name] ?? '').normalize('NFC'))].map(({ text }) => text);
    return { name, stems: words.map(stemOf), marked: new Set(words.flatMap((word) => accented(word) ?? [])) };
  });
  const found = reading.flatMap((term) => findTerm(term, fields) ?? []);
  return [...explainRules(product, query), ...explainCodes(product, analysed), ...explainWords(found, reading), ...explainReading(found), ...explainMarks(reading, fields), ...explainSort(query, analysed)];
}

function hasPhrase({ stems }: Field, words: readonly string[]): boolean {
  const phrase = words.map(stemOf);
  return stems.some((_stem, at) => phrase.every((stem, i) => stems[at + i] === stem));
}

/** The term itself before what else it may be written as. */
function findTerm(term: ReadTerm, fields: readonly Field[]): FoundTerm | undefined {
  for (const word of term.words) {
    const having = fields.filter((field) => hasPhrase(field, [word]));
    if (having.length > 0) return { term, fields: having.map(({ name }) => name), ...(word === term.typed ? {} : { as: word }) };
  }
  for (const { words } of term.alternatives) {
    const having = fields.filter((field) => hasPhrase(field, words));
    if (having.length > 0) return { term, fields: having.map(({ name }) => name), as: words.join(' ') };
  }
  return undefined;
}

const quoted = (words: readonly string[]): string => words.map((word) => `“${word}”`).join(', ');
const listed = (items: readonly string[]): string => (items.length < 2 ? items.join('') : `${items.slice(0, -1).join(', ')} and ${items.at(-1) ?? ''}`);

function explainRules(product: SearchDocument, { merchandising, sort }: SearchQuery): string[] {
  if (merchandising === undefined || sort !== 'relevance') return [];
  const pin = merchandising.pins.find(({ sku }) => sku === product.sku);
  const effects = merchandising.boosts.filter(({ select }) => isSelected(product, select)).map(({ rule, type }) => `${type === 'boost' ? 'boosted' : 'buried'} by rule ${rule}`);
  return pin === undefined ? effects : [`pinned by rule ${pin.rule}`];
}

function explainCodes(product: SearchDocument, { wholeCodes, wordCodes }: AnalysedQuery): string[] {
  const codes = [product.mpn ?? '', ...product.ean, product.sku].flatMap(codesOf);
  if (wholeCodes.includes(codeOf(product.sku))) return ['its sku is what was asked'];
  if (wholeCodes.some((code) => codes.includes(code))) return ['its sku, mpn or ean is what was asked'];
  return wordCodes.some((code) => codes.includes(code)) ? ['a word of the query is its sku, mpn or ean'] : [];
}

function explainWords(found: readonly FoundTerm[], reading: Reading): string[] {
  if (found.length === 0) return [];
  const all = reading.length === 1 ? 'the word' : 'all words';
  if (found.length < reading.length) return [`has ${found.length} of ${reading.length} words: ${quoted(found.map(({ term }) => term.typed))}`];
  const inAll = FIELDS.filter((field) => found.every(({ fields }) => fields.includes(field)));
  if (inAll.length > 0) return [`the ${listed(inAll)} ${inAll.length === 1 ? 'has' : 'have'} ${all}`];
  return [`has ${all}, in its ${listed(FIELDS.filter((field) => found.some(({ fields }) => fields.includes(field))))}`];
}

const explainReading = (found: readonly FoundTerm[]): string[] => {
  const sentences = found.flatMap(({ term, as }) => {
    if (as === undefined) return [];
    if (term.words.includes(as)) return [`“${term.typed}” was read as “${term.how === 'keys' ? (term.accented ?? as) : as}”`];
    const phrase = term.alternatives.find(({ words }) => words.join(' ') === as)?.phrase ?? [term.typed];
    return [`“${phrase.join(' ')}” was found as “${as}” (synonym)`];
  });
  return [...new Set(sentences)];
};

function explainMarks(reading: Reading, fields: readonly Field[]): string[] {
  const same = reading.flatMap(({ accented: written }) => (written !== undefined && fields.some(({ marked }) => marked.has(written)) ? [written] : []));
  return same.length === 0 ? [] : [`written with the same marks: ${quoted(same)}`];
}

function explainSort({ sort }: SearchQuery, { isEmpty }: AnalysedQuery): string[] {
  if (sort === 'price_asc') return ['sorted by price, lowest first'];
  if (sort === 'price_desc') return ['sorted by price, highest first'];
  return sort === 'newest' || isEmpty ? ['newest first'] : [];
}
