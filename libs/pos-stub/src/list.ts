import { branchDocuments, categoryDocuments, fromLocalTime, toCustomerDocument, toInvoiceDocument, toOnHandDocument, toProductDocument } from './documents.ts';
import type { Shop, StubProduct } from './shop.ts';

const DEFAULT_PAGE = 20;
const MAX_PAGE = 100;

/** Query parameters are known whatever their case, as .NET has it. */
export const parameter = (query: URLSearchParams, name: string): string | undefined => [...query].find(([key]) => key.toLowerCase() === name.toLowerCase())?.[1];
const isTrue = (query: URLSearchParams, name: string): boolean => parameter(query, name)?.toLowerCase() === 'true';

function whole(query: URLSearchParams, name: string, fallback: number): number {
  const value = Number(parameter(query, name) ?? fallback);
  return Number.isInteger(value) && value >= 0 ? value : fallback;
}

const since = (query: URLSearchParams): number | undefined => fromLocalTime(parameter(query, 'lastModifiedFrom') ?? '');

interface Dated { readonly id: number; readonly modifiedMs: number }

/** By the documented orderBy and orderDirection; by id where no order is asked for. */
function ordered<T extends Dated>(rows: readonly T[], query: URLSearchParams): readonly T[] {
  const sign = parameter(query, 'orderDirection')?.toLowerCase() === 'desc' ? -1 : 1;
  const isByTime = parameter(query, 'orderBy')?.toLowerCase() === 'modifieddate';
  return rows.toSorted((a, b) => sign * ((isByTime ? a.modifiedMs - b.modifiedMs : 0) || a.id - b.id));
}

function page(documents: readonly Record<string, unknown>[], query: URLSearchParams): Record<string, unknown> {
  const pageSize = Math.min(Math.max(1, whole(query, 'pageSize', DEFAULT_PAGE)), MAX_PAGE);
  const from = whole(query, 'currentItem', 0);
  return { total: documents.length, pageSize, data: documents.slice(from, from + pageSize), timestamp: '0001-01-01T00:00:00.0000000' };
}

/** Stock that changed alone is in productOnHands, not among the changed products: `modifiedMs` of the product stays. */
const changed = <T extends Dated>(rows: Iterable<T>, query: URLSearchParams): readonly T[] => ordered([...rows].filter(({ modifiedMs }) => modifiedMs >= (since(query) ?? -Infinity)), query);

function removedSince(shop: Shop, query: URLSearchParams): readonly number[] {
  const from = since(query);
  return [...shop.removed].filter(([, at]) => at >= (from ?? -Infinity)).map(([id]) => id);
}

function listProducts(shop: Shop, query: URLSearchParams): Record<string, unknown> {
  const active = parameter(query, 'isActive')?.toLowerCase();
  const category = parameter(query, 'categoryId');
  const name = parameter(query, 'name')?.toLowerCase();
  const isWanted = (product: StubProduct): boolean => (active === undefined || String(product.isActive) === active) && (category === undefined || String(product.categoryId) === category) && (name === undefined || product.name.toLowerCase().includes(name));
  const documents = changed(shop.products.values(), query).filter(isWanted).map((product) => toProductDocument(product, { withInventory: isTrue(query, 'includeInventory') }));
  return { ...page(documents, query), ...(isTrue(query, 'includeRemoveIds') && { removeId: removedSince(shop, query) }) };
}

type Lister = (shop: Shop, query: URLSearchParams) => Record<string, unknown>;

/** The documented lists, by path. */
export const lists: Readonly<Record<string, Lister>> = {
  '/branches': (_shop, query) => ({ ...page(branchDocuments, query), removedIds: [] }),
  '/categories': (_shop, query) => ({ ...page(categoryDocuments, query), removedIds: [] }),
  '/products': listProducts,
  '/productOnHands': (shop, query) => page(changed([...shop.products.values()].map((product) => ({ ...product, modifiedMs: Math.max(product.modifiedMs, product.stockMs ?? 0) })), query).map(toOnHandDocument), query),
  '/customers': (shop, query) => {
    const code = parameter(query, 'code');
    return { ...page(changed(shop.customers, query).filter((customer) => code === undefined || customer.code === code).map(toCustomerDocument), query), removeId: [] };
  },
  '/invoices': (shop, query) => page(changed(shop.invoices, query).map(toInvoiceDocument), query),
};
