import { fromMinor } from '@millrace/contracts';
import type { Product, SimilarAnswerBody } from '@millrace/contracts';
import type { SimilarHit, VectorReader } from '@millrace/vectors';
import { meanVector } from './mean-vector.ts';

export interface NewestFilter { readonly category?: string; readonly brand?: string }

export interface FindSimilarPorts {
  readonly vectors: Pick<VectorReader, 'get' | 'nearest' | 'model'>;
  /** Products of a category or a brand without the help of vectors, newest first. */
  readonly findNewest: (filter: NewestFilter, limit: number) => Promise<readonly Product[]>;
}

export interface SimilarRequest {
  /** At least one, each once. */
  readonly products: readonly Product[];
  readonly limit: number;
  readonly minScore: number;
  readonly category?: string;
}

type SimilarItem = SimilarAnswerBody['data'][number];
type Source = SimilarItem['source'];
type Stage = readonly [Source, NewestFilter];

const round = (score: number): number => Math.round(score * 1e6) / 1e6;

const toItem = ({ sku, score, payload, embeddedAt }: SimilarHit, source: Source): SimilarItem => ({
  sku, product_id: sku, name: payload.name, similarity_score: round(score), category: payload.category, brand: payload.brand,
  price: payload.price_minor === null ? null : Number(fromMinor(payload.price_minor, payload.currency)), currency: payload.currency,
  in_stock: payload.in_stock, image_url: payload.image_url, embedding_updated_at: embeddedAt, source,
});

const fromProduct = (product: Product, source: Source): SimilarItem => ({
  sku: product.sku, product_id: product.sku, name: product.name, similarity_score: 0, category: product.category, brand: product.brand, price: product.price,
  currency: product.currency, in_stock: product.stock !== 0, image_url: product.image_url, embedding_updated_at: null, source,
});

/** The commonest first, else in their order. */
function byFrequency(values: readonly (string | null)[]): string[] {
  const groups = Map.groupBy(values.filter((value) => value !== null), (value) => value);
  return [...groups].toSorted(([, a], [, b]) => b.length - a.length).map(([value]) => value);
}

/** What fills the rest: the products' categories (or the one that was asked for), then their brands. */
function fillsOf(products: readonly Product[], categories: readonly string[], inCategory: NewestFilter): readonly Stage[] {
  return [
    ...categories.map((category): Stage => ['category', { category }]),
    ...byFrequency(products.map(({ brand }) => brand)).map((brand): Stage => ['brand', { brand, ...inCategory }]),
  ];
}

/**
 * The nearest products to one product, or to the mean of several, that reach minScore; where they are too few, the rest is filled from the
 * products' categories, then their brands, then the nearest of all, each place marked with its source. The products themselves are never
 * among them. Filters are applied inside the kNN.
 */
export async function findSimilar({ vectors, findNewest }: FindSimilarPorts, { products, limit, minScore, category }: SimilarRequest): Promise<SimilarAnswerBody> {
  const [records, model] = await Promise.all([Promise.all(products.map(({ sku }) => vectors.get(sku))), vectors.model()]);
  const answer = (data: SimilarItem[], fallback: boolean): SimilarAnswerBody => ({ data, fallback, model: model?.id ?? null, degraded: false });
  const vector = meanVector(records.flatMap((record) => record?.vector ?? []));
  if (!vector) return answer(await withoutVector(findNewest, products, { limit, category }), true);
  const own = products.map(({ sku }) => sku);
  const taken = new Set(own);
  const items: SimilarItem[] = [];
  const take = (hits: readonly SimilarHit[], source: Source): void => {
    for (const hit of hits) {
      if (items.length >= limit || taken.has(hit.sku)) continue;
      taken.add(hit.sku);
      items.push(toItem(hit, source));
    }
  };
  const inCategory = category === undefined ? {} : { category };
  const nearest = await vectors.nearest(vector, { limit, excludeSkus: own, ...inCategory });
  take(nearest.filter((hit) => hit.score >= minScore), 'similar');
  const found = items.length;
  const categories = category === undefined ? byFrequency(products.map((product) => product.category)) : [];
  for (const [source, filter] of fillsOf(products, categories, inCategory)) {
    if (items.length < limit) take(await vectors.nearest(vector, { limit, excludeSkus: [...taken], ...filter }), source);
  }
  take(nearest, category === undefined ? 'nearest' : 'category');
  return answer(items, items.length > found);
}

/** The newest of the categories, then of the brands. */
async function withoutVector(findNewest: FindSimilarPorts['findNewest'], products: readonly Product[], { limit, category }: { limit: number; category: string | undefined }): Promise<SimilarItem[]> {
  const categories = category === undefined ? byFrequency(products.map((product) => product.category)) : [category];
  const taken = new Set(products.map(({ sku }) => sku));
  const items: SimilarItem[] = [];
  for (const [source, filter] of fillsOf(products, categories, category === undefined ? {} : { category })) {
    if (items.length >= limit) break;
    for (const other of await findNewest(filter, limit + taken.size)) {
      if (items.length >= limit || taken.has(other.sku)) continue;
      taken.add(other.sku);
      items.push(fromProduct(other, source));
    }
  }
  return items;
}
