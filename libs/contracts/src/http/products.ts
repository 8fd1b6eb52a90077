import { z } from 'zod';
import { defineOperation } from '../operation.ts';
import { newProductSchema, productPatchSchema, productSchema, skuSchema } from '../product.ts';

const service = 'catalog-api';
const skuParams = z.strictObject({ sku: skuSchema });
const ifMatch = z.object({ 'if-match': z.string().optional().meta({ description: 'ETag of the product as you know it, or *; required', example: '"1200.1204"' }) });
const idempotencyKey = z.object({
  'idempotency-key': z.string().min(1).max(255).optional().meta({ description: 'A repeated request with the same key answers what the first one answered' }),
});

export const productExample = {
  sku: 'MR-0001', version: 1204, content_version: 1200, merchant_id: 1, name: 'Wireless noise-cancelling headphones',
  description: 'Over-ear headphones with 40 hours of battery life.', category: 'Audio', brand: 'Nhật Minh', mpn: 'NM-H40', ean: ['8930000000017'],
  price: 89.9, price_minor: 8990, currency: 'USD', stock: 12, image_url: null, attributes: { colour: 'black' }, status: 'active',
  created_at: '2026-11-01T08:00:00.000000Z', updated_at: '2026-11-02T08:00:00.000000Z',
} satisfies z.input<typeof productSchema>;

export const createProduct = defineOperation({
  operationId: 'createProduct', method: 'post', path: '/api/products', service, scope: 'products:write', audited: true,
  summary: 'Create a product', headers: idempotencyKey, body: newProductSchema,
  bodyExample: { sku: 'MR-0001', name: 'Wireless noise-cancelling headphones', category: 'Audio', brand: 'Nhật Minh', price: 89.9, currency: 'USD', stock: 12 },
  responses: { 201: { description: 'Created; ETag and Location are set', schema: productSchema, example: productExample } },
});

export const listProductsQuery = z.strictObject({
  cursor: z.string().max(1_000).optional().meta({ description: 'page.next of the answer before' }),
  limit: z.coerce.number().int().min(1).max(500).default(50),
  updated_since: z.iso.datetime({ offset: true }).optional().meta({ description: 'Only products changed at or after this time', example: '2026-11-01T00:00:00Z' }),
});
export const pageSchema = z.object({ next: z.string().nullable().meta({ description: 'Cursor of the next page, null on the last one' }), limit: z.int() });

export const listProducts = defineOperation({
  operationId: 'listProducts', method: 'get', path: '/api/products', service, scope: 'products:read',
  summary: 'List products, oldest change first', query: listProductsQuery,
  responses: {
    200: { description: 'One page', schema: z.object({ data: z.array(productSchema), page: pageSchema }), example: { data: [productExample], page: { next: null, limit: 50 } } },
  },
});

export const getProduct = defineOperation({
  operationId: 'getProduct', method: 'get', path: '/api/products/{sku}', service, scope: 'products:read',
  summary: 'Read a product', params: skuParams,
  responses: {
    200: { description: 'The product; ETag is "<content_version>.<version>"', schema: productSchema, example: productExample },
    304: { description: 'If-None-Match names the current state' },
  },
});

export const patchProduct = defineOperation({
  operationId: 'patchProduct', method: 'patch', path: '/api/products/{sku}', service, scope: 'products:write', audited: true,
  summary: 'Change a product', params: skuParams, headers: ifMatch, body: productPatchSchema, bodyExample: { price: 79.9 },
  responses: { 200: { description: 'The product as it is now', schema: productSchema, example: productExample } },
});

export const deleteProduct = defineOperation({
  operationId: 'deleteProduct', method: 'delete', path: '/api/products/{sku}', service, scope: 'products:write', audited: true,
  summary: 'Delete a product', params: skuParams, headers: ifMatch,
  responses: { 204: { description: 'Deleted; the ETag of the tombstone is answered' } },
});

export const setStock = defineOperation({
  operationId: 'setStock', method: 'put', path: '/api/products/{sku}/stock', service, scope: 'products:write',
  summary: 'Set the stock', params: skuParams, headers: ifMatch,
  description: 'If-Match bounds changes of anything but stock; expected_version bounds all: with it the answer is 412 where the product has another version, of stock too.',
  body: z.strictObject({ stock: z.int().min(0).max(2_147_483_647).nullable(), expected_version: z.int().positive().optional().meta({ description: 'Version of the product as you know it' }) }), bodyExample: { stock: 7 },
  responses: { 200: { description: 'The product as it is now', schema: productSchema, example: productExample } },
});

export const adjustStock = defineOperation({
  operationId: 'adjustStock', method: 'post', path: '/api/products/{sku}/stock/adjust', service, scope: 'products:write',
  summary: 'Add to or take from the stock; never below 0', params: skuParams, headers: idempotencyKey,
  body: z.strictObject({ delta: z.int().min(-2_147_483_647).max(2_147_483_647) }), bodyExample: { delta: -1 },
  responses: { 200: { description: 'The product as it is now', schema: productSchema, example: productExample } },
});

/** Column mapping of an import: `price=price_cents:0.01` takes price from price_cents times 0.01. */
export const importQuery = z.strictObject({
  format: z.enum(['ndjson', 'csv']).optional().meta({ description: 'Default: by Content-Type' }),
  map: z.union([z.string(), z.array(z.string())]).optional().transform((value) => (value === undefined ? [] : Array.isArray(value) ? value : [value]))
    .meta({ description: 'field=column or field=column:factor, repeatable', example: 'price=price_cents:0.01' }),
  currency: z.string().optional().meta({ description: 'Currency of rows that have none; default DEFAULT_CURRENCY' }),
  encoding: z.string().max(40).optional().meta({ description: 'Character encoding of the file (WHATWG label); default: by its byte order mark, else UTF-8' }),
  delimiter: z.string().length(1).optional().meta({ description: 'CSV delimiter; default ","' }),
  dry_run: z.stringbool().default(false).meta({ description: 'Reports what would change, changes nothing' }),
  atomic: z.stringbool().default(false).meta({ description: 'Stages all rows first: one bad row and nothing is imported' }),
});

export const importReportSchema = z.object({
  rows: z.int(), created: z.int(), updated: z.int(), unchanged: z.int(), failed: z.int(), dry_run: z.boolean(), atomic: z.boolean(), committed: z.boolean(),
  last_good_line: z.int().nullable(), error: z.string().nullable(), seconds: z.number(),
});
export type ImportReport = z.output<typeof importReportSchema>;

/** One line of an import's answer. */
export const importLineSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('progress'), rows: z.int(), created: z.int(), updated: z.int(), unchanged: z.int(), failed: z.int(), bytes: z.int() }),
  z.object({ type: z.literal('error'), line: z.int(), sku: z.string().nullable(), code: z.string(), pointer: z.string(), detail: z.string() }),
  z.object({ type: z.literal('report'), ...importReportSchema.shape }),
]);
export type ImportLine = z.output<typeof importLineSchema>;

export const importProducts = defineOperation({
  operationId: 'importProducts', method: 'post', path: '/api/products/import', service, scope: 'products:write', audited: true, timeoutMs: 120_000,
  summary: 'Import products from NDJSON or CSV, gzip too', query: importQuery, streams: ['application/x-ndjson', 'text/csv'],
  description: 'Upsert by sku. Same-named columns map themselves, unmapped ones go to attributes. Each bad row is reported with its line while good ones land.',
  responses: {
    200: { description: 'NDJSON: progress and error lines, then the report', mediaType: 'application/x-ndjson', schema: importLineSchema,
      example: { type: 'report', rows: 2, created: 2, updated: 0, unchanged: 0, failed: 0, dry_run: false, atomic: false, committed: true, last_good_line: 2, error: null, seconds: 0.1 } },
  },
});

export const productOperations = [importProducts, createProduct, listProducts, getProduct, patchProduct, deleteProduct, setStock, adjustStock] as const;
