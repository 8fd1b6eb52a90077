import { readFile } from 'node:fs/promises';
import type { Product, RebuildCheck } from '@millrace/contracts';
import type { VersionSource } from '@millrace/projection';
import type { SearchAdmin, SearchReader } from '@millrace/search';
import { z } from 'zod';

/** What must be found before a swap. */
export const goldenQueriesSchema = z.array(
  z.strictObject({ q: z.string().min(1).max(500), skus: z.array(z.string().min(1)).min(1).max(10), currency: z.string().length(3).default('USD') }),
);
export type GoldenQuery = z.output<typeof goldenQueriesSchema>[number];

/** @throws with a sentence that names the file and what is wrong in it */
export async function readGoldenQueries(file: string): Promise<readonly GoldenQuery[]> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw new Error(`GOLDEN_QUERIES_FILE: ${file} cannot be read`, { cause: error });
  });
  try {
    return goldenQueriesSchema.parse(JSON.parse(text));
  } catch (error) {
    const reason = error instanceof z.ZodError ? z.prettifyError(error).replaceAll('\n', ' ') : 'it is no JSON';
    throw new Error(`GOLDEN_QUERIES_FILE: ${file} must be a list of {"q": "…", "skus": ["…"]}: ${reason}`, { cause: error });
  }
}

const TOP = 10;
/** Another definition may rank a little differently. */
const NAMES_LOST_AT_MOST = 0.1;
const SAMPLE = 12;
const EXAMPLES = 5;

const toCheck = (check: string, failures: readonly string[], { asked, allowed = 0 }: { asked: number; allowed?: number }): RebuildCheck => ({
  check, passed: failures.length <= allowed,
  detail: failures.length === 0 ? `all of ${asked} that should be are found` : `${failures.length} of ${asked} are not found: ${failures.slice(0, EXAMPLES).join(', ')}`,
});

async function askConfigured(reader: SearchReader, queries: readonly GoldenQuery[]): Promise<RebuildCheck> {
  const failures: string[] = [];
  for (const { q, skus, currency } of queries) {
    const found = new Set((await reader.search({ q, currency, sort: 'relevance', limit: TOP })).hits.map(({ product }) => product.sku));
    failures.push(...skus.filter((sku) => !found.has(sku)).map((sku) => `${sku} by "${q}"`));
  }
  return toCheck(`golden queries: configured ones, in the first ${TOP}`, failures, { asked: queries.reduce((sum, { skus }) => sum + skus.length, 0) });
}

type Open = <T>(index: string, work: (reader: SearchReader) => Promise<T>) => Promise<T>;

/** Products that the live index has, spread over its skus, as far as the catalogue has them so: what is wrong in the live one is no measure. */
async function sampleOf({ admin, source }: GoldenDeps, live: string): Promise<readonly Product[]> {
  const sampled = new Map<string, number>();
  for await (const batch of admin.readVersions(live)) {
    const step = Math.max(1, Math.floor(batch.length / SAMPLE));
    for (let at = 0; at < batch.length && sampled.size < SAMPLE; at += step) sampled.set(batch[at]?.sku ?? '', batch[at]?.version ?? 0);
    if (sampled.size >= SAMPLE) break;
  }
  if (sampled.size === 0) return [];
  const { known } = await source.states([...sampled.keys()]);
  return [...sampled].flatMap(([sku, version]) => {
    const product = known.get(sku)?.product;
    return product?.version === version ? [product] : [];
  });
}

/** Among its like (category, brand, price): a query without filters is answered from a good part of the index, and held in memory while it is. */
async function finds(reader: SearchReader, by: 'sku' | 'name', product: Product): Promise<boolean> {
  const { sku, currency, category, brand, price_minor: price } = product;
  const like = { ...(category !== null && { category }), ...(brand !== null && { brand }), ...(price !== null && { minPriceMinor: price, maxPriceMinor: price }) };
  const { hits } = await reader.search({ q: product[by], currency, sort: 'relevance', limit: TOP, ...like });
  return hits.some((hit) => hit.product.sku === sku);
}

const notFoundBy = async (reader: SearchReader, by: 'sku' | 'name', products: readonly Product[]): Promise<readonly Product[]> => {
  const missing: Product[] = [];
  for (const product of products) if (!(await finds(reader, by, product))) missing.push(product);
  return missing;
};

/** What the live index finds by its sku and by its name, the target must find too. One reader at a time: each holds a part of its index in memory. */
async function askAsTheLiveOne(open: Open, deps: GoldenDeps, { target, live }: { readonly target: string; readonly live: string }): Promise<readonly RebuildCheck[]> {
  const sample = await sampleOf(deps, live);
  const missing = await open(target, async (reader) => ({ sku: await notFoundBy(reader, 'sku', sample), name: await notFoundBy(reader, 'name', sample) }));
  // The live one is asked last: what was deleted meanwhile, neither of them finds.
  const lost = async (by: 'sku' | 'name'): Promise<string[]> => {
    const also = missing[by].length === 0 ? [] : await open(live, (reader) => notFoundBy(reader, by, missing[by]));
    return missing[by].filter((product) => !also.includes(product)).map((product) => (by === 'sku' ? product.sku : `${product.sku} by "${product.name}"`));
  };
  return [
    toCheck('golden queries: by sku, as the live one', await lost('sku'), { asked: sample.length }),
    toCheck('golden queries: by name, as the live one', await lost('name'), { asked: sample.length, allowed: Math.floor(sample.length * NAMES_LOST_AT_MOST) }),
  ];
}

export interface GoldenDeps {
  readonly admin: Pick<SearchAdmin, 'openReader' | 'readVersions'>;
  readonly source: Pick<VersionSource, 'states'>;
}

/** Asks the target what is configured, and what the live index (undefined: there is none to compare with) finds of a sample of its own. */
export async function askGolden(deps: GoldenDeps, { target, live, queries }: { readonly target: string; readonly live: string | undefined; readonly queries: readonly GoldenQuery[] }): Promise<readonly RebuildCheck[]> {
  const open: Open = async (index, work) => {
    const reader = await deps.admin.openReader(index);
    try {
      return await work(reader);
    } finally {
      await reader.close();
    }
  };
  const configured = queries.length === 0 ? [] : [await open(target, (reader) => askConfigured(reader, queries))];
  return [...configured, ...(live === undefined ? [] : await askAsTheLiveOne(open, deps, { target, live }))];
}
