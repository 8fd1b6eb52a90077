import { fromMinor } from '@millrace/contracts';
import type { Product, SimilarAnswerBody } from '@millrace/contracts';
import type { SimilarHit, VectorReader } from '@millrace/vectors';

export interface NewestFilter { readonly category?: string; readonly brand?: string }

export interface FindSimilarPorts {
  readonly vectors: Pick<VectorReader, 'get' | 'nearest' | 'model'>;
  /** Products of a category or a brand without the help of vectors, newest first. */
  readonly findNewest: (filter: NewestFilter, limit: number) => Promise<readonly Product[]>;
}

export interface SimilarRequest {
  readonly product: Product;
  readonly limit: number;
  readonly minScore: number;
  readonly category?: string;
}

type SimilarItem = SimilarAnswerBody['data'][number];
type Source = SimilarItem['source'];

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

/**
 * The nearest products that reach minScore; where they are too few, the rest is filled from the product's category, then its brand, then
 * the nearest of all, each place marked with its source. The product itself is never among them. Filters are applied inside the kNN.
 */
export async function findSimilar({ vectors, findNewest }: FindSimilarPorts, { product, limit, minScore, category }: SimilarRequest): Promise<SimilarAnswerBody> {
  const [record, model] = await Promise.all([vectors.get(product.sku), vectors.model()]);
  const answer = (data: SimilarItem[], fallback: boolean): SimilarAnswerBody => ({ data, fallback, model: model?.id ?? null, degraded: false });
  if (!record?.vector) return answer(await withoutVector(findNewest, product, { limit, category }), true);
  const { vector } = record;
  const taken = new Set([product.sku]);
  const items: SimilarItem[] = [];
  const take = (hits: readonly SimilarHit[], source: Source): void => {
    for (const hit of hits) {
      if (items.length >= limit || taken.has(hit.sku)) continue;
      taken.add(hit.sku);
      items.push(toItem(hit, source));
    }
  };
  const inCategory = category === undefined ? {} : { category };
  const nearest = await vectors.nearest(vector, { limit, excludeSkus: [product.sku], ...inCategory });
  take(nearest.filter((hit) => hit.score >= minScore), 'similar');
  const found = items.length;
  const fills: readonly (readonly [Source, { category?: string; brand?: string } | undefined])[] = [
    ['category', category === undefined && product.category !== null ? { category: product.category } : undefined],
    ['brand', product.brand === null ? undefined : { brand: product.brand, ...inCategory }],
  ];
  for (const [source, filter] of fills) {
    if (items.length < limit && filter) take(await vectors.nearest(vector, { limit, excludeSkus: [...taken], ...filter }), source);
  }
  take(nearest, category === undefined ? 'nearest' : 'category');
  return answer(items, items.length > found);
}

/** The newest of the category, then of the brand. */
async function withoutVector(findNewest: FindSimilarPorts['findNewest'], product: Product, { limit, category }: { limit: number; category: string | undefined }): Promise<SimilarItem[]> {
  const wanted = category ?? product.category;
  const inCategory = category === undefined ? {} : { category };
  const stages: readonly (readonly [Source, NewestFilter | undefined])[] = [
    ['category', wanted === null ? undefined : { category: wanted }],
    ['brand', product.brand === null ? undefined : { brand: product.brand, ...inCategory }],
  ];
  const taken = new Set([product.sku]);
  const items: SimilarItem[] = [];
  for (const [source, filter] of stages) {
    if (items.length >= limit || !filter) continue;
    for (const other of await findNewest(filter, limit + taken.size)) {
      if (items.length >= limit || taken.has(other.sku)) continue;
      taken.add(other.sku);
      items.push(fromProduct(other, source));
    }
  }
  return items;
}
