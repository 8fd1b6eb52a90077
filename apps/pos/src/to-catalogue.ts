import { minorUnitDigits, newProductSchema } from '@millrace/contracts';
import type { NewProduct, PosProblem } from '@millrace/contracts';
import type { PosInventory, PosProduct } from '@millrace/kiotviet';
import { sentenceOf, toPointer } from '@millrace/http';

export interface CatalogueRules {
  readonly currency: string;
  /** Branches whose stock counts; empty: all. */
  readonly branchIds: readonly number[];
  readonly merchantId: number;
}

export type Wanted = NewProduct & { readonly currency: string };
export type Mapped = { readonly wanted: Wanted } | { readonly problem: PosProblem };

const MOST_STOCK = 2_147_483_647;

/** Rounds decimal text half up to so many decimals, exactly: prices that the POS has computed may have more than their currency. */
export function roundDecimal(text: string, digits: number): string {
  const [, sign = '', whole = '0', fraction = ''] = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text) ?? [];
  const kept = BigInt(whole + fraction.slice(0, digits).padEnd(digits, '0')) + (Number(fraction.charAt(digits) || '0') >= 5 ? 1n : 0n);
  const all = kept.toString().padStart(digits + 1, '0');
  const rounded = digits === 0 ? all : `${all.slice(0, -digits)}.${all.slice(-digits)}`;
  return /[1-9]/.test(rounded) ? sign + rounded : rounded;
}

/** Whole units of the branches that count: a fraction cannot be sold, and less than nothing is nothing. Null where the POS says nothing of stock. */
export function stockOf(inventories: readonly PosInventory[] | null | undefined, branchIds: readonly number[]): number | null {
  if (!inventories) return null;
  const counted = inventories.filter(({ branchId }) => branchIds.length === 0 || branchIds.includes(branchId));
  const sum = counted.reduce((total, { onHand }) => total + (onHand ?? 0), 0);
  return Math.min(MOST_STOCK, Math.max(0, Math.floor(sum)));
}

const cut = (text: string | null | undefined, most: number): string | null => (text?.trim() ?? '').slice(0, most).trim() || null;
const isWebAddress = (text: string): boolean => /^https?:$/.test(URL.parse(text)?.protocol ?? '') && text.length <= 2_000;

function attributesOf({ attributes, unit }: PosProduct): Record<string, string> {
  const named = (attributes ?? []).flatMap(({ attributeName, attributeValue }): [string, string][] => {
    const [name, value] = [attributeName.trim(), attributeValue?.trim() ?? ''];
    return name === '' || value === '' ? [] : [[name.slice(0, 200), value]];
  });
  return Object.fromEntries([...named, ...(cut(unit, 100) === null ? [] : [['unit', cut(unit, 100) ?? ''] as [string, string]])]);
}

/** A product of the POS as the catalogue would have it, or why it cannot. Texts are cut to what the catalogue holds; a price is rounded to its currency. */
export function toCatalogue(product: PosProduct, { currency, branchIds, merchantId }: CatalogueRules): Mapped {
  const sku = product.code?.trim() ?? '';
  const problem = (pointer: string, detail: string): Mapped => ({ problem: { pos_id: product.id, sku: sku === '' ? null : sku.slice(0, 128), pointer, detail } });
  if (sku === '') return problem('/code', 'is missing: a product without a code cannot be told from others');
  const name = cut(product.fullName, 500) ?? cut(product.name, 500);
  if (name === null) return problem('/name', 'is missing');
  if (product.basePrice?.startsWith('-') === true) return problem('/basePrice', 'is negative');
  const candidate = {
    sku, merchant_id: merchantId, name, description: cut(product.description, 20_000), category: cut(product.categoryName, 200), brand: cut(product.tradeMarkName, 200),
    ean: /^\d{8,14}$/.test(product.barCode?.trim() ?? '') ? [product.barCode?.trim()] : [],
    price: product.basePrice === null || product.basePrice === undefined ? null : roundDecimal(product.basePrice, minorUnitDigits(currency)), currency,
    stock: stockOf(product.inventories, branchIds), image_url: product.images?.find(isWebAddress) ?? null, attributes: attributesOf(product),
    status: product.isActive === false || product.allowsSale === false ? 'archived' : 'active',
  };
  const parsed = newProductSchema.safeParse(candidate);
  if (parsed.success) return { wanted: { ...parsed.data, currency } };
  const issue = parsed.error.issues[0];
  return problem(toPointer(issue?.path ?? []), issue ? sentenceOf(issue) : 'is not valid');
}
