import type { Schemas } from '@millrace/client';
import { skuSchema } from '@millrace/contracts';
import { z } from 'zod';
import { NOT_CACHED, askOptional } from '../ask.ts';
import type { Asked } from '../ask.ts';
import { cleanText } from '../clean.ts';
import type { ToolContext } from '../tool.ts';

export const sku = skuSchema.meta({ description: 'Stock keeping unit, exactly as search_products shows it', example: 'MR-0001' });
const text = z.string().nullable();

/** A product in a list. */
export const shortProduct = { sku: z.string(), name: z.string(), category: text, brand: text, price: z.number().nullable(), currency: z.string() };

/** A whole product. */
export const wholeProduct = z.object({
  ...shortProduct, description: text, stock: z.int().nullable().meta({ description: 'Units in stock; null = unknown' }), status: z.string(), mpn: text, ean: z.array(z.string()), image_url: text,
  attributes: z.record(z.string(), z.unknown()), version: z.int().meta({ description: 'Grows with every change' }), updated_at: z.string(),
});

export const SHORT_TEXT = 300;
export const shortText = (value: string | null): string | null => (value === null ? null : cleanText(value, SHORT_TEXT));

type Product = Schemas['Product'];
export const PRODUCT_SOURCE = 'GET /api/products/{sku}';

/** One product, as it is now (`isFresh`: past the cache); undefined where there is none. */
export const findProduct = ({ api, signal }: ToolContext, wanted: string, { isFresh = false } = {}): Promise<Asked<Product> | undefined> =>
  askOptional<Product>(PRODUCT_SOURCE, api.GET('/api/products/{sku}', { params: { path: { sku: wanted } }, signal, ...(isFresh && { headers: NOT_CACHED }) }));
