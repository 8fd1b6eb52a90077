import { stemOf } from './highlight.ts';
import type { Merchandising, MerchandisingRule, ProductSelector, QueryExpansion, Relevance, SynonymRule } from './relevance.ts';
import { queryWords, tellingTerms } from './text.ts';

interface Stemmed { readonly folded: string; readonly stem: string; readonly accented?: string }
type Phrase = readonly Stemmed[];

interface CompiledSynonym { readonly rule: string; readonly phrase: Phrase; readonly alternatives: readonly Phrase[] }
interface CompiledRule { readonly rule: MerchandisingRule; readonly words: Phrase; readonly fromMs: number; readonly untilMs: number }

/** Ways to read one query with its synonyms that are compared with rules. */
const MAX_READINGS = 64;
/** What counts of a long query, and of a long rule: every expansion costs the engine a look-up for each alternative. */
const MAX_WORDS = 48;
const MAX_EXPANSIONS = 16;
const MAX_ALTERNATIVES = 20;
/** Pins of one search, of all rules that apply: an engine finds each of them by itself. */
const MAX_PINS = 100;

const phraseOf = (text: string): Phrase =>
  queryWords(text).slice(0, MAX_WORDS).map(({ folded, accented }) => ({ folded, stem: stemOf(folded), ...(accented === undefined ? {} : { accented }) }));

/** Marks count where both words have them: "duong" is "đường" and "dương", which are not each other. */
const isSameWord = (a: Stemmed, b: Stemmed): boolean =>
  a.stem === b.stem && (a.accented === undefined || b.accented === undefined || a.accented === b.accented);

const isSamePhrase = (a: Phrase, b: Phrase): boolean =>
  a.length === b.length && a.every((word, i) => {
    const other = b[i];
    return other !== undefined && isSameWord(word, other);
  });

/**
 * Compiles synonyms and rules for many queries. Synonyms are phrases of the query (its words side by side, in their order; plural or singular, with or
 * without marks) and are followed one step: of two rules a = b and b = c, a does not find c. A rule's query is compared as a set of words, stop words left out.
 * Pins of a rule without a query act where no words are asked; its other actions on every search in its category.
 * Of a query the first 48 words and 16 phrases with synonyms count, of a synonym rule 20 alternatives.
 * A rule object that was compiled before is not compiled again: a caller who keeps those that did not change pays for the others.
 * Ignored: phrases without a word, selectors that name nothing, unreadable dates. The first of several pins of a sku counts, and the first 100 pins of a search.
 */
export function compileRelevance({ synonyms, rules }: { readonly synonyms: readonly SynonymRule[]; readonly rules: readonly MerchandisingRule[] }): Relevance {
  const byFirstWords = indexBy(synonyms.flatMap((rule) => compiledOnce(synonymsCompiled, rule, compileSynonym)), ({ phrase }) => firstWordsOf(phrase, 0));
  const compiled = rules.map((rule) => compiledOnce(rulesCompiled, rule, compileRule));
  const byWords = indexBy(compiled.filter(({ words }) => words.length > 0), ({ words }) => keyOf(words));
  const byCategory = indexBy(compiled.filter(({ rule }) => rule.query === undefined), ({ rule }) => rule.category ?? '');
  const order = new Map(compiled.map(({ rule }, at) => [rule, at]));

  return {
    forQuery({ q, category }, now) {
      const words = phraseOf(q ?? '');
      const found = expansionsOf(byFirstWords, words);
      const candidates = new Set(category === undefined ? [] : byCategory.get(category));
      for (const reading of readingsOf(words, found)) {
        for (const candidate of byWords.get(keyOf(reading)) ?? []) if (isAsked(candidate.words, reading)) candidates.add(candidate);
      }
      const inForce = [...candidates]
        .filter(({ rule, fromMs, untilMs }) => (rule.category === undefined || rule.category === category) && now.getTime() >= fromMs && now.getTime() < untilMs)
        .map(({ rule }) => rule)
        .toSorted((a, b) => (order.get(a) ?? 0) - (order.get(b) ?? 0));
      return {
        expansions: found.map(({ synonym: { rule, alternatives }, at, length }): QueryExpansion => ({
          rule, words: words.slice(at, at + length).map(({ folded }) => folded), alternatives: alternatives.map((phrase) => phrase.map(({ folded }) => folded)),
        })),
        merchandising: merchandisingOf(inForce, words.length > 0),
      };
    },
  };
}

function indexBy<T>(items: readonly T[], keyOfItem: (item: T) => string): Map<string, T[]> {
  const index = new Map<string, T[]>();
  for (const item of items) {
    const key = keyOfItem(item);
    const list = index.get(key);
    if (list === undefined) index.set(key, [item]);
    else list.push(item);
  }
  return index;
}

const synonymsCompiled = new WeakMap<SynonymRule, readonly CompiledSynonym[]>();
const rulesCompiled = new WeakMap<MerchandisingRule, CompiledRule>();

function compiledOnce<R extends object, C>(known: WeakMap<R, C>, rule: R, compile: (rule: R) => C): C {
  const before = known.get(rule);
  if (before !== undefined) return before;
  const made = compile(rule);
  known.set(rule, made);
  return made;
}

function compileSynonym(rule: SynonymRule): CompiledSynonym[] {
  const terms = rule.terms.map(phraseOf).filter((phrase) => phrase.length > 0);
  const means = rule.kind === 'equivalent' ? terms : rule.means.map(phraseOf).filter((phrase) => phrase.length > 0);
  return terms.flatMap((phrase) => {
    const alternatives: Phrase[] = [];
    for (const other of means) if (!isSamePhrase(other, phrase) && !alternatives.some((known) => isSamePhrase(known, other))) alternatives.push(other);
    return alternatives.length === 0 ? [] : [{ rule: rule.id, phrase, alternatives: alternatives.slice(0, MAX_ALTERNATIVES) }];
  });
}

const compileRule = (rule: MerchandisingRule): CompiledRule => ({
  rule,
  words: phraseOf(rule.query ?? ''),
  fromMs: rule.from === undefined ? -Infinity : Date.parse(rule.from),
  untilMs: rule.until === undefined ? Infinity : Date.parse(rule.until),
});

/** Two words where there are two: a shop has thousands of phrases that begin with the same one ("máy …"). Stems have no spaces. */
const firstWordsOf = (phrase: Phrase, at: number): string => phrase.slice(at, at + 2).map(({ stem }) => stem).join(' ');

interface Found { readonly synonym: CompiledSynonym; readonly at: number; readonly length: number }

/** Every phrase of the query that has synonyms, overlapping ones too, each rule once for the same words. */
function expansionsOf(byFirstWords: ReadonlyMap<string, readonly CompiledSynonym[]>, words: Phrase): Found[] {
  const found = new Map<string, Found>();
  for (const [at, word] of words.entries()) {
    for (const synonym of [...(byFirstWords.get(word.stem) ?? []), ...(byFirstWords.get(firstWordsOf(words, at)) ?? [])]) {
      if (found.size >= MAX_EXPANSIONS) break;
      const { length } = synonym.phrase;
      if (!isSamePhrase(synonym.phrase, words.slice(at, at + length))) continue;
      const key = JSON.stringify([synonym.rule, words.slice(at, at + length).map(({ folded }) => folded)]);
      if (!found.has(key)) found.set(key, { synonym, at, length });
    }
  }
  return [...found.values()];
}

/** The query itself, then with each phrase or several that do not overlap replaced by a synonym; the first MAX_READINGS. */
function readingsOf(words: Phrase, found: readonly Found[]): Phrase[] {
  if (words.length === 0) return [];
  let partial: { readonly reading: Phrase; readonly upTo: number }[] = [{ reading: words, upTo: words.length }];
  // From the right, so that what was replaced does not move the places that are still to come.
  for (const { synonym, at, length } of found.toSorted((a, b) => b.at - a.at)) {
    const replaced = partial
      .filter(({ upTo }) => at + length <= upTo)
      .flatMap(({ reading }) => synonym.alternatives.map((alternative) => ({ reading: [...reading.slice(0, at), ...alternative, ...reading.slice(at + length)], upTo: at })));
    partial = [...partial, ...replaced].slice(0, MAX_READINGS);
  }
  return partial.map(({ reading }) => reading);
}

/** Words as a set of stems: in any order, each once, stop words left out. */
const keyOf = (words: Phrase): string => [...new Set(tellingTerms(words).map(({ stem }) => stem))].toSorted().join(' ');

/** The stems are the same ones already; do the marks agree too? */
const isAsked = (rule: Phrase, query: Phrase): boolean =>
  tellingTerms(rule).every((word) => query.some((other) => isSameWord(word, other)));

function selects({ skus, category, brand }: ProductSelector): boolean {
  return skus === undefined ? category !== undefined || brand !== undefined : skus.length > 0;
}

function merchandisingOf(rules: readonly MerchandisingRule[], hasWords: boolean): Merchandising {
  const pins = new Map<string, Merchandising['pins'][number]>();
  const hides: Merchandising['hides'][number][] = [];
  const boosts: Merchandising['boosts'][number][] = [];
  for (const { id, query, action } of rules) {
    if (action.type === 'pin') {
      if (query === undefined && hasWords) continue;
      for (const sku of action.skus) if (!pins.has(sku) && pins.size < MAX_PINS) pins.set(sku, { rule: id, sku });
    } else if (selects(action.select)) {
      if (action.type === 'hide') hides.push({ rule: id, select: action.select });
      else boosts.push({ rule: id, type: action.type, select: action.select });
    }
  }
  return { pins: [...pins.values()], hides, boosts };
}
