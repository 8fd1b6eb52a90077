import type { ServerResponse } from 'node:http';
import { z } from 'zod';
import { RETAILER_ID, toProductDocument } from './documents.ts';
import type { Hours } from './hours.ts';
import { parseJson } from './read-body.ts';
import type { Shop, StubProduct } from './shop.ts';
import { sampleProduct } from './shop.ts';
import type { Tokens } from './tokens.ts';
import { sendFailure, sendJson, weatherSchema } from './weather.ts';
import type { Sky } from './weather.ts';
import { notify } from './webhooks.ts';
import type { Webhook } from './webhooks.ts';

export interface AdminDeps {
  readonly shop: Shop;
  readonly sky: Sky;
  readonly tokens: Tokens;
  readonly hours: Hours;
  readonly webhooks: Map<number, Webhook>;
  /** Requests by "GET /products". */
  readonly seen: Map<string, number>;
}

const productChange = z.strictObject({
  name: z.string(), description: z.string(), categoryId: z.int(), basePrice: z.number(), isActive: z.boolean(), allowsSale: z.boolean(), code: z.string(),
  inventories: z.array(z.strictObject({ branchId: z.int(), onHand: z.number(), reserved: z.number().default(0) })),
}).partial();

/** Of every webhook of that type; resolves with their statuses. */
const tell = (deps: AdminDeps, type: string, data: readonly unknown[]): Promise<(number | undefined)[]> =>
  Promise.all([...deps.webhooks.values()].filter((webhook) => webhook.type === type).map((webhook) => notify(webhook, type, data, { retailerId: RETAILER_ID })));

/** Webhooks name fields with capitals, as .NET does. */
const capitalised = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(capitalised);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key.slice(0, 1).toUpperCase() + key.slice(1), capitalised(inner)]));
};

function findByCode(shop: Shop, code: string): StubProduct | undefined {
  return [...shop.products.values()].find((product) => product.code === code);
}

/** Changes or makes a product and tells the webhooks: product.update, or stock.update (and no new modifiedDate) where only the stock changed. */
async function putProduct(deps: AdminDeps, code: string, text: string, res: ServerResponse): Promise<void> {
  const parsed = productChange.safeParse(parseJson(text));
  if (!parsed.success) return sendFailure(res, 400, { errorCode: 'Validation', message: z.prettifyError(parsed.error) });
  const known = findByCode(deps.shop, code);
  const isStockOnly = known !== undefined && Object.keys(parsed.data).join() === 'inventories';
  const base = known ?? { ...sampleProduct(Math.max(0, ...deps.shop.products.keys(), ...deps.shop.removed.keys()) - 999), code };
  const given = Object.fromEntries(Object.entries(parsed.data).filter(([, value]) => value !== undefined));
  const product: StubProduct = { ...base, ...given, modifiedMs: isStockOnly ? base.modifiedMs : Date.now(), stockMs: Date.now() };
  deps.shop.products.set(product.id, product);
  const document = toProductDocument(product, { withInventory: true });
  const statuses = isStockOnly ? await tell(deps, 'stock.update', product.inventories.map((inventory) => capitalised({ productId: product.id, productCode: product.code, productName: product.name, ...inventory }))) : await tell(deps, 'product.update', [capitalised(document)]);
  sendJson(res, 200, { product: document, webhooks: statuses });
}

async function deleteProduct(deps: AdminDeps, code: string, res: ServerResponse): Promise<void> {
  const known = findByCode(deps.shop, code);
  if (known === undefined) return sendFailure(res, 404, { errorCode: 'NotFound', message: 'no such product' });
  deps.shop.products.delete(known.id);
  deps.shop.removed.set(known.id, Date.now());
  sendJson(res, 200, { id: known.id, webhooks: await tell(deps, 'product.delete', [known.id]) });
}

function setWeather({ sky }: AdminDeps, text: string, res: ServerResponse): void {
  const parsed = weatherSchema.safeParse(parseJson(text));
  if (!parsed.success) return sendFailure(res, 400, { errorCode: 'Validation', message: z.prettifyError(parsed.error) });
  sky.set(parsed.data);
  sendJson(res, 200, parsed.data);
}

/** What no POS has: how a test or a person makes weather and changes the shop. True: answered. */
export async function answerAdmin(deps: AdminDeps, { method, path, text }: { readonly method: string; readonly path: string; readonly text: string }, res: ServerResponse): Promise<void> {
  const { shop, sky, tokens, hours, seen } = deps;
  const code = /^\/_stub\/products\/([^/]+)$/.exec(path)?.[1];
  if (code !== undefined && method === 'PUT') return putProduct(deps, decodeURIComponent(code), text, res);
  if (code !== undefined && method === 'DELETE') return deleteProduct(deps, decodeURIComponent(code), res);
  if (path === '/_stub/weather' && method === 'POST') return setWeather(deps, text, res);
  if (path === '/_stub/tokens' && method === 'DELETE') return tokens.revoke(), sendJson(res, 200, { revoked: true });
  if (path === '/_stub/hour' && method === 'DELETE') return hours.forget(), sendJson(res, 200, { forgotten: true });
  if (path === '/_stub/state') return sendJson(res, 200, { weather: sky.now, products: shop.products.size, tokens_issued: tokens.issued, gets: hours.total, most_gets_in_an_hour: hours.most, requests: Object.fromEntries(seen) });
  sendFailure(res, 404, { errorCode: 'NotFound', message: 'POST /_stub/weather, DELETE /_stub/tokens, DELETE /_stub/hour, GET /_stub/state, PUT and DELETE /_stub/products/<code>' });
}
