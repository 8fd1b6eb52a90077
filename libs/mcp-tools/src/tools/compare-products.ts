import type { Schemas } from '@millrace/client';
import { z } from 'zod';
import { oldestOf } from '../ask.ts';
import { RefusedError } from '../refused-error.ts';
import { READS, READ_LIMITS, defineTool } from '../tool.ts';
import { PRODUCT_SOURCE, findProduct, shortProduct, shortText, sku } from './product-fields.ts';

const MAX_ROWS = 60;
const row = z.object({ field: z.string(), values: z.array(z.unknown()).meta({ description: 'In the order of products; null = not known of that one' }), differs: z.boolean() });
const data = z.object({
  products: z.array(z.object({ ...shortProduct, stock: z.int().nullable(), description: z.string().nullable() })),
  rows: z.array(row).meta({ description: 'Fields and attributes side by side, what differs first' }), unknown: z.array(z.string()),
});

const FIELDS = ['price', 'currency', 'stock', 'brand', 'category', 'status'] as const;

function rowsOf(products: readonly Schemas['Product'][]): readonly z.output<typeof row>[] {
  const names = [...new Set(products.flatMap(({ attributes }) => Object.keys(attributes)))];
  const all = [
    ...FIELDS.map((field) => ({ field, values: products.map((product): unknown => product[field]) })),
    ...names.map((name) => ({ field: `attributes.${name}`, values: products.map(({ attributes }): unknown => (Object.hasOwn(attributes, name) ? attributes[name] : null)) })),
  ].map((one) => ({ ...one, differs: new Set(one.values.map((value) => JSON.stringify(value))).size > 1 }));
  return all.toSorted((a, b) => Number(b.differs) - Number(a.differs));
}

export const compareProducts = defineTool({
  name: 'compare_products', title: 'Compare products', scopes: ['products:read'], annotations: READS, limits: READ_LIMITS, output: data,
  input: z.strictObject({ skus: z.array(sku).min(2).max(5).refine((skus) => new Set(skus).size === skus.length, 'must name each product once') }),
  description: 'Two to five products side by side: prices, stock and attributes, what differs first.',
  async run({ skus }, context) {
    const found = await Promise.all(skus.map((one) => findProduct(context, one)));
    const known = found.flatMap((one) => (one ? [one] : []));
    const unknown = skus.filter((_one, at) => !found[at]);
    if (known.length < 2) throw new RefusedError({ code: 'not_found', detail: `two products are needed, and these do not exist: ${unknown.map((one) => JSON.stringify(one)).join(', ')}`, pointer: '/skus' });
    const rows = rowsOf(known.map(({ data: product }) => product));
    const products = known.map(({ data: product }) => ({ ...product, description: shortText(product.description) }));
    return { data: { products, rows: rows.slice(0, MAX_ROWS), unknown }, origin: oldestOf(PRODUCT_SOURCE, known.map(({ origin }) => origin)), isTruncated: rows.length > MAX_ROWS };
  },
});
