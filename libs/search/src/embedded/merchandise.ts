/** What merchandisers want of an answer, applied to its matches. */
import type { SearchQuery } from '../ports.ts';
import type { ProductSelector } from '../relevance.ts';
import { BOOST, BURY, GROUP, PIN_STEP } from '../tiers.ts';
import { findPinned } from './match.ts';
import type { Match } from './match.ts';
import type { Database } from './sqlite.ts';

type Predicate = (match: Match) => boolean;

/** True for the products of any of the selectors. */
function selected(db: Database, selectors: readonly ProductSelector[]): Predicate {
  const idOf = (table: 'category' | 'brand', name: string | undefined): unknown => (name === undefined ? undefined : db.row(`select id from ${table} where name = ?`, name)?.[0] ?? 'none');
  // Most name skus alone: one set of them all, however many rules there are.
  const skusAlone = new Set(selectors.flatMap(({ skus, category, brand }) => (category === undefined && brand === undefined ? (skus ?? []) : [])));
  const tests = selectors.filter(({ category, brand }) => category !== undefined || brand !== undefined).map(({ skus, category, brand }): Predicate => {
    const [wanted, categoryId, brandId] = [skus === undefined ? undefined : new Set(skus), idOf('category', category), idOf('brand', brand)];
    return (match) => wanted?.has(match.sku) !== false && (categoryId === undefined || match.category === categoryId) && (brandId === undefined || match.brand === brandId);
  });
  return (match) => skusAlone.has(match.sku) || tests.some((test) => test(match));
}

/**
 * Without what is hidden; where the sort is by relevance with the pinned products and all in their places: pins lead, a boost multiplies the words'
 * score, what is buried follows everything else. Where no words were asked the score is the product's group, before the date.
 */
export function merchandise(db: Database, query: SearchQuery, { matches, hasWords }: { matches: readonly Match[]; hasWords: boolean }): readonly Match[] {
  const { merchandising } = query;
  if (merchandising === undefined) return matches;
  const { pins, hides, boosts } = merchandising;
  const isHidden = selected(db, hides.map(({ select }) => select));
  const places = query.sort === 'relevance' ? new Map(pins.map(({ sku }, at) => [sku, pins.length - at])) : new Map<string, number>();
  const all = places.size === 0 ? [...matches] : withPinned(matches, findPinned(db, query, [...places.keys()]));
  const shown = hides.length === 0 ? all : all.filter((match) => !isHidden(match));
  if (query.sort !== 'relevance' || (places.size === 0 && boosts.length === 0)) return shown;

  const isBoosted = selected(db, boosts.filter(({ type }) => type === 'boost').map(({ select }) => select));
  const isBuried = selected(db, boosts.filter(({ type }) => type === 'bury').map(({ select }) => select));
  return shown.map((match) => {
    const pin = places.get(match.sku);
    if (!hasWords) return { ...match, score: pin !== undefined ? GROUP.pinned + pin : isBuried(match) ? GROUP.buried : isBoosted(match) ? GROUP.boosted : GROUP.normal };
    const score = match.score + (isBoosted(match) ? match.textScore * (BOOST - 1) : 0);
    return { ...match, score: pin !== undefined ? PIN_STEP * pin + score : isBuried(match) ? score * BURY : score };
  });
}

function withPinned(matches: readonly Match[], pinned: readonly Match[]): Match[] {
  const known = new Set(matches.map(({ id }) => id));
  return [...matches, ...pinned.filter(({ id }) => !known.has(id))];
}
