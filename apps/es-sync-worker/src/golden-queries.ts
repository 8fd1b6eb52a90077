import { readFile } from 'node:fs/promises';
import type { RebuildCheck } from '@millrace/contracts';
import type { VersionSource } from '@millrace/projection';
import type { SearchAdmin, SearchHit, SearchReader } from '@millrace/search';
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
/** Names tie easily, and another definition may rank a little differently. */
const NAME_TOP = 50;
const NAMES_LOST_AT_MOST = 0.1;
const SAMPLE_OF_EACH = 3;
const EXAMPLES = 5;
const SORTS = ['newest', 'price_asc', 'price_desc'] as const;

const hitsOf = async (reader: SearchReader, q: string, { limit, currency = 'USD' }: { limit: number; currency?: string }): Promise<readonly SearchHit[]> =>
  (await reader.search({ q, currency, sort: 'relevance', limit })).hits;
const finds = async (reader: SearchReader, q: string, { sku, limit, currency }: { sku: string; limit: number; currency: string }): Promise<boolean> =>
  (await hitsOf(reader, q, { limit, currency })).some(({ product }) => product.sku === sku);

const toCheck = (check: string, failures: readonly string[], { asked, allowed = 0 }: { asked: number; allowed?: number }): RebuildCheck => ({
  check, passed: failures.length <= allowed,
  detail: failures.length === 0 ? `all of ${asked} that should be are found` : `${failures.length} of ${asked} are not found: ${failures.slice(0, EXAMPLES).join(', ')}`,
});

async function askConfigured(reader: SearchReader, queries: readonly GoldenQuery[]): Promise<RebuildCheck> {
  const failures: string[] = [];
  for (const { q, skus, currency } of queries) {
    const found = new Set((await hitsOf(reader, q, { limit: TOP, currency })).map(({ product }) => product.sku));
    failures.push(...skus.filter((sku) => !found.has(sku)).map((sku) => `${sku} by "${q}"`));
  }
  return toCheck(`golden queries: configured ones, in the first ${TOP}`, failures, { asked: queries.reduce((sum, { skus }) => sum + skus.length, 0) });
}

type Product = SearchHit['product'];
type Open = <T>(index: string, work: (reader: SearchReader) => Promise<T>) => Promise<T>;

/** Products from both ends of what an index has, as far as the catalogue has them so: what is wrong in the live one is no measure. */
async function sampleOf(reader: SearchReader, source: GoldenDeps['source']): Promise<readonly Product[]> {
  const sampled = new Map<string, Product>();
  for (const sort of SORTS) for (const { product } of (await reader.search({ currency: 'USD', sort, limit: SAMPLE_OF_EACH })).hits) sampled.set(product.sku, product);
  const { known } = await source.states([...sampled.keys()]);
  return [...sampled.values()].filter(({ sku, version }) => known.get(sku)?.product?.version === version);
}

const notFoundBy = async (reader: SearchReader, products: readonly Product[], { by, limit }: { by: 'sku' | 'name'; limit: number }): Promise<readonly Product[]> => {
  const missing: Product[] = [];
  for (const product of products) if (!(await finds(reader, product[by], { sku: product.sku, limit, currency: product.currency }))) missing.push(product);
  return missing;
};

/** What the live index finds by its sku and by its name, the target must find too. One reader at a time: each holds a part of its index in memory. */
async function askAsTheLiveOne({ open, source }: { readonly open: Open; readonly source: GoldenDeps['source'] }, target: string, live: string): Promise<readonly RebuildCheck[]> {
  const sample = await open(live, (reader) => sampleOf(reader, source));
  const missing = await open(target, async (reader) => ({ sku: await notFoundBy(reader, sample, { by: 'sku', limit: TOP }), name: await notFoundBy(reader, sample, { by: 'name', limit: NAME_TOP }) }));
  // The live one is asked last: what was deleted meanwhile, neither of them finds.
  const lost = async (by: 'sku' | 'name'): Promise<string[]> => {
    const also = missing[by].length === 0 ? [] : await open(live, (reader) => notFoundBy(reader, missing[by], { by, limit: TOP }));
    return missing[by].filter((product) => !also.includes(product)).map((product) => (by === 'sku' ? product.sku : `${product.sku} by "${product.name}"`));
  };
  return [
    toCheck('golden queries: by sku, as the live one', await lost('sku'), { asked: sample.length }),
    toCheck('golden queries: by name, as the live one', await lost('name'), { asked: sample.length, allowed: Math.floor(sample.length * NAMES_LOST_AT_MOST) }),
  ];
}

export interface GoldenDeps {
  readonly admin: Pick<SearchAdmin, 'openReader'>;
  readonly source: Pick<VersionSource, 'states'>;
}

/** Asks the target what is configured, and what the live index (undefined: there is none to compare with) finds of a sample of its own. */
export async function askGolden({ admin, source }: GoldenDeps, { target, live, queries }: { readonly target: string; readonly live: string | undefined; readonly queries: readonly GoldenQuery[] }): Promise<readonly RebuildCheck[]> {
  const open: Open = async (index, work) => {
    const reader = await admin.openReader(index);
    try {
      return await work(reader);
    } finally {
      await reader.close();
    }
  };
  const configured = queries.length === 0 ? [] : [await open(target, (reader) => askConfigured(reader, queries))];
  return [...configured, ...(live === undefined ? [] : await askAsTheLiveOne({ open, source }, target, live))];
}
