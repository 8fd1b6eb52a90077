import { createServer } from 'node:http';
import { once } from 'node:events';
import { applyChangesBody, productSchema, statesBody, toMinor } from '@millrace/contracts';
import type { Applied, Product } from '@millrace/contracts';
import { z } from 'zod';

export interface MemoryCatalogue {
  readonly url: string;
  readonly products: Map<string, Product>;
  /** Changes that were applied. */
  readonly writes: string[];
  /** As an editor of the catalogue. */
  edit(sku: string, over: Partial<Product>): void;
  /** Called before each batch; may throw (503), hang, or edit. */
  before: (() => void | Promise<void>) | undefined;
  /** Called after each batch, before it is answered: throwing loses the answer. */
  after: (() => void | Promise<void>) | undefined;
  fence: number;
  close(): Promise<void>;
}

type Change = z.output<typeof applyChangesBody>['changes'][number];

/** The routes of catalog-api's second port that this service uses, with their contract, in memory. (An app never imports an app: scripts/test/pos.e2e.test.ts has the real one.) */
export async function startMemoryCatalogue(): Promise<MemoryCatalogue> {
  let version = 0;
  const products = new Map<string, Product>();
  const write = (sku: string, over: Record<string, unknown>): Product => {
    version += 1;
    const before = products.get(sku);
    const base = { sku, merchant_id: 1, name: '', description: null, category: null, brand: null, mpn: null, ean: [], price: null, price_minor: null, currency: 'VND', stock: null, image_url: null, attributes: {}, status: 'active', created_at: '', updated_at: '', ...before, ...over };
    const isContent = before === undefined || Object.keys(over).some((field) => field !== 'stock');
    const price = base.price === null ? null : z.coerce.number().parse(base.price);
    const product = productSchema.parse({ ...base, price, price_minor: price === null ? null : toMinor(String(price), base.currency), version, content_version: isContent ? version : (before?.content_version ?? version) });
    products.set(sku, product);
    return product;
  };
  const applyOne = (change: Change): Applied['results'][number] => {
    const sku = change.op === 'create' ? change.product.sku : change.sku;
    const known = products.get(sku);
    if (change.op === 'create' ? known !== undefined : known?.content_version !== change.content_version) return { state: 'moved', sku };
    catalogue.writes.push(`${change.op} ${sku}`);
    if (change.op === 'delete') return products.delete(sku), { state: 'applied', sku, product: null };
    return { state: 'applied', sku, product: write(sku, change.op === 'create' ? change.product : change.patch) };
  };
  const answer = async (path: string, body: unknown): Promise<{ status: number; body: unknown }> => {
    if (path === '/internal/products/states') {
      const { skus } = statesBody.parse(body);
      return { status: 200, body: { last_version: version, data: skus.flatMap((sku) => products.get(sku) ?? []).map((product) => ({ type: 'product', product })) } };
    }
    const { fence, changes } = applyChangesBody.parse(body);
    await catalogue.before?.();
    if (fence < catalogue.fence) return { status: 409, body: {} };
    catalogue.fence = fence;
    const results = changes.map(applyOne);
    await catalogue.after?.();
    return { status: 200, body: { results } };
  };
  const server = createServer((req, res) => {
    const chunks: Buffer[] = [];
    req.on('data', (chunk: Buffer) => void chunks.push(chunk));
    req.on('end', () => {
      answer(req.url ?? '', JSON.parse(Buffer.concat(chunks).toString())).then(
        ({ status, body }) => res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body)),
        (error: unknown) => res.writeHead(503).end(String(error)),
      );
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const catalogue: MemoryCatalogue = {
    url: `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`, products, writes: [], before: undefined, after: undefined, fence: 0,
    edit: (sku, over) => void write(sku, over),
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return catalogue;
}
