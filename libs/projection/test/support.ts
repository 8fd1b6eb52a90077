import type { SkuRange, StoredVersion } from '@millrace/contracts';
import { compareSkus } from '@millrace/contracts';
import { createVersionDigest } from '../src/index.ts';
import type { ProjectedChange, VersionSource, VersionedStore } from '../src/index.ts';
import type { Product } from '@millrace/contracts';

const isIn = (sku: string, { from, to }: SkuRange): boolean => (from === undefined || compareSkus(sku, from) >= 0) && (to === undefined || compareSkus(sku, to) < 0);

export interface Row { version: number; active: boolean }

export const productOf = (sku: string, version: number): Product => ({
  sku, version, content_version: version, merchant_id: 1, name: `product ${sku}`, description: null, category: null, brand: null, mpn: null, ean: [], price: null, price_minor: null,
  currency: 'USD', stock: null, image_url: null, attributes: {}, status: 'active', created_at: '2026-11-21T00:00:00.000000Z', updated_at: '2026-11-21T00:00:00.000000Z',
});

export const changeOf = (sku: string, { version, active }: Row): ProjectedChange => (active ? { sku, version, product: productOf(sku, version) } : { sku, version });

/** A catalogue in memory. */
export function memorySource(rows: Map<string, Row>, lastVersion: () => number = () => Math.max(0, ...[...rows.values()].map(({ version }) => version))) {
  const asked = { versions: 0, states: 0 };
  const active = (range: SkuRange) => [...rows].filter(([sku, row]) => row.active && isIn(sku, range)).map(([sku, { version }]) => ({ sku, version })).toSorted((a, b) => compareSkus(a.sku, b.sku));
  const source: VersionSource = {
    digests: async (range, count) => {
      const all = active(range);
      const size = Math.max(1, Math.ceil(all.length / count));
      const parts = Array.from({ length: Math.max(1, Math.ceil(all.length / size)) }, (_, at) => all.slice(at * size, (at + 1) * size));
      return {
        products: all.length,
        buckets: parts.map((part, at) => {
          const digest = createVersionDigest();
          for (const entry of part) digest.add(entry);
          return { from: at === 0 ? (range.from ?? null) : (part[0]?.sku ?? null), to: parts[at + 1]?.[0]?.sku ?? range.to ?? null, products: part.length, digest: digest.hex };
        }),
      };
    },
    versions: async function* (range) {
      const all = active(range);
      asked.versions += all.length;
      for (let at = 0; at < all.length; at += 3) yield all.slice(at, at + 3);
    },
    states: async (skus) => {
      asked.states += skus.length;
      return { known: new Map(skus.flatMap((sku): [string, ProjectedChange][] => { const row = rows.get(sku); return row ? [[sku, changeOf(sku, row)]] : []; })), lastVersion: lastVersion() };
    },
  };
  return { source, asked };
}

/** A store in memory, guarded by version as the real ones are. */
export function memoryStore(held: Map<string, { version: number; deleted: boolean }>) {
  const store: VersionedStore = {
    readVersions: async function* (ranges) {
      const found = [...held].filter(([sku, { deleted }]) => !deleted && (ranges === undefined || ranges.some((range) => isIn(sku, range)))).map(([sku, { version }]): StoredVersion => ({ sku, version, deleted: false }));
      for (let at = 0; at < found.length; at += 4) yield found.slice(at, at + 4);
    },
    versionsOf: async (skus) => new Map(skus.flatMap((sku) => { const one = held.get(sku); return one ? [[sku, one] as const] : []; })),
  };
  const apply = async (changes: readonly ProjectedChange[]): Promise<void> => {
    for (const { sku, version, product } of changes) if ((held.get(sku)?.version ?? 0) < version) held.set(sku, { version, deleted: product === undefined });
  };
  return { store, apply };
}
