import { getProduct, productSchema, searchAnswerSchema, searchProducts, similarAnswerSchema, similarProducts, similarRecommendations, similarRecommendationsShort, similarToSeveralByQuery, suggestProducts } from '@millrace/contracts';
import type { Operation, Scope } from '@millrace/contracts';
import { z } from 'zod';

/** The request as the service's own schemas read it: defaults applied, nothing unknown. */
export interface ParsedRequest {
  readonly params: Readonly<Record<string, unknown>>;
  readonly query: Readonly<Record<string, unknown>>;
}

/** How the answers of one operation are cached. */
export interface CachedOperation {
  readonly operation: Operation;
  readonly freshMs: number;
  readonly staleWhileRevalidateMs: number;
  readonly staleIfErrorMs: number;
  /** Of a 404. */
  readonly notFoundMs: number;
  /** Headers of the caller that the service looks at: a call with one of them is not for the cache. */
  readonly personalHeaders: readonly string[];
  /** Parameters that make an answer one caller's own, or that ask for what is so now: a call where one is set is not for the cache. */
  readonly bypassedBy: readonly string[];
  /** What changes the answer; `body` undefined: nothing was found. undefined: an answer that is not to be kept. */
  readonly tagsOf: (request: ParsedRequest, body: unknown) => readonly string[] | undefined;
}

const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const NOT_FOUND_MS = 10 * SECOND_MS;

type Store = 'products' | 'search' | 'vectors';
/** The one place where tags are named. `open`: an answer that any change in its store may change, such as a list that is not full. */
export const tags = {
  sku: (sku: string): string => `sku:${sku}`,
  category: (category: string): string => `category:${category}`,
  store: (store: Store): string => `store:${store}`,
  open: (store: Store): string => `open:${store}`,
  operation: (operationId: string): string => `operation:${operationId}`,
};

const text = (value: unknown): readonly string[] => (typeof value === 'string' && value !== '' ? [value] : Array.isArray(value) ? value.flatMap(text) : []);
const categoriesOf = (items: readonly { readonly category: string | null }[]): string[] => items.flatMap(({ category }) => category ?? []);

const productTags: CachedOperation['tagsOf'] = ({ params: { sku } }, body) => {
  if (body !== undefined && !productSchema.safeParse(body).success) return undefined;
  return [tags.store('products'), ...text(sku).map(tags.sku)];
};

const searchTagsSchema = searchAnswerSchema.pick({ page: true, degraded: true }).extend({ data: z.array(z.object({ sku: z.string(), category: z.string().nullable() })), facets: searchAnswerSchema.shape.facets.pick({ category: true }) });

/** A change of a product that is not among the hits is known by its category: of the query, or one that the hits of all pages have. */
const searchTags: CachedOperation['tagsOf'] = ({ query: { q, category } }, body) => {
  const answer = searchTagsSchema.safeParse(body).data;
  if (!answer || answer.degraded) return undefined;
  const isOpen = answer.page.next === null || (text(q).length === 0 && text(category).length === 0);
  const categories = [...text(category), ...answer.facets.category.map(({ value }) => String(value)), ...categoriesOf(answer.data)];
  return [tags.store('search'), ...(isOpen ? [tags.open('search')] : []), ...answer.data.map(({ sku }) => tags.sku(sku)), ...categories.map(tags.category)];
};

const suggestTagsSchema = suggestProducts.responses[200].schema;
const suggestTags: CachedOperation['tagsOf'] = ({ query: { limit } }, body) => {
  const answer = suggestTagsSchema.safeParse(body).data;
  if (!answer || answer.degraded) return undefined;
  const isOpen = answer.data.length < Number(limit);
  return [tags.store('search'), ...(isOpen ? [tags.open('search')] : []), ...answer.data.flatMap(({ sku, kind, text: name }) => (sku !== undefined ? [tags.sku(sku)] : kind === 'category' ? [tags.category(name)] : []))];
};

const similarTags: CachedOperation['tagsOf'] = ({ params, query: { limit, product_id: several, category } }, body) => {
  const common = [tags.store('vectors'), ...text(Object.values(params)).map(tags.sku), ...text(several).map(tags.sku)];
  if (body === undefined) return common;
  const answer = similarAnswerSchema.safeParse(body).data;
  if (!answer || answer.degraded) return undefined;
  const isOpen = answer.fallback || answer.data.length < Number(limit);
  return [...common, ...(isOpen ? [tags.open('vectors')] : []), ...answer.data.map(({ sku }) => tags.sku(sku)), ...[...text(category), ...categoriesOf(answer.data)].map(tags.category)];
};

const common = { staleWhileRevalidateMs: 0, notFoundMs: NOT_FOUND_MS, personalHeaders: [], bypassedBy: [] };
const searchLike = { ...common, freshMs: 30 * SECOND_MS, staleIfErrorMs: 10 * MINUTE_MS };
const similarLike = { ...searchLike, staleWhileRevalidateMs: 10 * MINUTE_MS - 30 * SECOND_MS, tagsOf: similarTags };

/** What the gateway caches, and nothing else: recommendations, subscribers, lists of products and whatever an operator sees never are. */
export const cachedOperations: readonly CachedOperation[] = [
  { ...common, operation: getProduct, freshMs: 5 * MINUTE_MS, staleIfErrorMs: HOUR_MS, tagsOf: productTags },
  // X-User-Id goes to the search log with each search, by the service itself; wait_for asks what searches see now.
  { ...searchLike, operation: searchProducts, personalHeaders: ['x-user-id'], bypassedBy: ['personalize', 'user_id', 'wait_for'], tagsOf: searchTags },
  { ...searchLike, operation: suggestProducts, tagsOf: suggestTags },
  ...[similarProducts, similarRecommendations, similarRecommendationsShort, similarToSeveralByQuery].map((operation) => ({ ...similarLike, operation })),
];

/** Scopes of what anybody in a shop may see, who may see anything at all. */
const SHAREABLE: ReadonlySet<string> = new Set<Scope>(['products:read', 'search:read']);

const headersOf = ({ headers }: Operation): readonly string[] => (headers instanceof z.ZodObject ? Object.keys(headers.shape) : []);

/** Why its answers must not be shared; undefined: they may. */
function whyNot({ operation, personalHeaders }: CachedOperation, served: ReadonlySet<string>): string | undefined {
  if (!served.has(operation.operationId) || operation.method !== 'get') return 'is no GET that this gateway serves';
  if (operation.isPersonal === true || operation.holdsSecret === true || operation.audited === true || !SHAREABLE.has(operation.scope)) return 'answers what is not for everybody who has its scope';
  const unknown = headersOf(operation).find((name) => !personalHeaders.includes(name));
  return unknown === undefined ? undefined : `reads ${unknown}, which is not among personalHeaders`;
}

/** Stops the gateway where the table names an operation that it does not serve, one that is not read, or one whose answers may be personal. */
export function checkCachedOperations(served: readonly Operation[], table: readonly CachedOperation[] = cachedOperations): void {
  const ids = new Set(served.map(({ operationId }) => operationId));
  for (const cached of table) {
    const reason = whyNot(cached, ids);
    if (reason !== undefined) throw new Error(`the cache has a policy for ${cached.operation.operationId}, which ${reason}`);
  }
}
