import type { Product } from '@millrace/contracts';
import type { Merchandising, ProductSelector, SearchQuery } from '@millrace/search';

/** Does the product match every field that the selector has? */
export const isSelected = (product: Product, { skus, category, brand }: ProductSelector): boolean =>
  (skus === undefined || skus.includes(product.sku)) && (category === undefined || category === product.category) && (brand === undefined || brand === product.brand);

export const isHidden = (product: Product, { hides }: Pick<Merchandising, 'hides'>): boolean => hides.some(({ select }) => isSelected(product, select));

type Filters = Pick<SearchQuery, 'currency' | 'minPriceMinor' | 'maxPriceMinor' | 'merchantId' | 'category' | 'brand' | 'inStock'>;

function hasPrice({ price_minor: price, currency }: Product, { minPriceMinor, maxPriceMinor, currency: wanted }: Filters): boolean {
  if (minPriceMinor === undefined && maxPriceMinor === undefined) return true;
  return price !== null && currency === wanted && price >= (minPriceMinor ?? 0) && price <= (maxPriceMinor ?? Infinity);
}

/** What an index does with its filters, for products that come from elsewhere. */
export const passesFilters = (product: Product, filters: Filters): boolean =>
  product.status === 'active'
  && (filters.category === undefined || product.category === filters.category)
  && (filters.brand === undefined || product.brand === filters.brand)
  && (filters.merchantId === undefined || product.merchant_id === filters.merchantId)
  && (filters.inStock === undefined || filters.inStock === (product.stock !== 0))
  && hasPrice(product, filters);
