import { defineTopic } from '@millrace/bus';
import { productUpdates } from '@millrace/contracts';
import { z } from 'zod';
import { uniqueName } from './lane.ts';
import type { Sample } from './lane.ts';

/** Twelve checked fields, 300 to 500 bytes of JSON: a change of a product as a search index wants it. */
const productChange = z.object({
  version: z.int().positive(),
  sku: z.string().min(1).max(128),
  name: z.string().min(1).max(500),
  description: z.string().max(20_000).nullable(),
  category: z.string().max(200).nullable(),
  brand: z.string().max(200).nullable(),
  ean: z.array(z.string().max(14)),
  price_minor: z.int().min(0).nullable(),
  currency: z.enum(['USD', 'EUR', 'VND']),
  stock: z.int().min(0).nullable(),
  image_url: z.string().max(2_000).nullable(),
  status: z.enum(['draft', 'active', 'archived']),
});
type ProductChange = z.output<typeof productChange>;

const changeAt = (n: number): ProductChange => ({
  version: n + 1,
  sku: `MR-${String(n).padStart(7, '0')}`,
  name: `Wireless headphones ${n} with noise cancelling`,
  description: `Up to ${20 + (n % 20)} hours of music with one charge. Folds flat, comes with a case and a cable of 1.2 m.`,
  category: 'Audio',
  brand: ['Nhật Minh', 'Sennheiser', 'Acme'][n % 3] ?? null,
  ean: [String(4_006_381_000_000 + n)],
  price_minor: 1_990 + (n % 500),
  currency: 'USD',
  stock: n % 40,
  image_url: `https://cdn.example.com/products/${n}/front-large.webp`,
  status: 'active',
});

/** `name` is the stream's, for a process that has to find it. */
export const changeTopic = (name: string) =>
  defineTopic(name, { update: productChange }, { schemaVersion: 1, keyField: 'product_id', keyOf: (event) => event.sku, versionOf: (event) => event.version });
export type ChangeTopic = ReturnType<typeof changeTopic>;

export function changeSample(count: number): Sample<ChangeTopic> {
  const changes = Array.from({ length: count }, (_change, n) => changeAt(n));
  return {
    topic: changeTopic(uniqueName('changes')),
    events: changes.map((change) => ({ type: 'update', ...change })),
    plain: changes.map((change) => ({ key: change.sku, version: change.version, payload: change })),
  };
}

/** The catalogue's own topic: a whole product with free attributes in each event, checked by its contract. */
export function catalogueSample(count: number): Sample<typeof productUpdates> {
  const at = '2026-11-21T10:00:00.000Z';
  const products = Array.from({ length: count }, (_product, n) => {
    const change = changeAt(n);
    const product = { ...change, content_version: change.version, merchant_id: 1, description: null, mpn: null, price: change.price_minor === null ? null : change.price_minor / 100, attributes: { colour: 'black', weight_g: 250 }, created_at: at, updated_at: at };
    return { version: change.version, product };
  });
  return {
    topic: { ...productUpdates, name: uniqueName('products') },
    events: products.map((product) => ({ type: 'update', ...product })),
    plain: products.map(({ version, product }) => ({ key: product.sku, version, payload: product })),
  };
}
