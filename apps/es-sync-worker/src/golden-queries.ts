import { readFile } from 'node:fs/promises';
import type { RebuildCheck } from '@millrace/contracts';
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
const SAMPLE_OF_EACH = 10;
const EXAMPLES = 5;
const SORTS = ['newest', 'price_asc', 'price_desc'] as const;

const hitsOf = async (reader: SearchReader, q: string, { limit, currency = 'USD' }: { limit: number; currency?: string }): Promise<readonly SearchHit[]> =>
  (await reader.search({ q, currency, sort: 'relevance', limit })).hits;
const finds = async (reader: SearchReader, q: string, { sku, limit, currency }: { sku: string; limit: number; currency: string }): Promise<boolean> =>
  (await hitsOf(reader, q, { limit, currency })).some(({ product }) => product.sku === sku);

const toCheck = (check: string, failures: readonly string[], { asked, allowed = 0 }: { asked: number; allowed?: number }): RebuildCheck => ({
  check, passed: failures.length <= allowed,
  detail: failures.length === 0 ? `all of ${asked} are found` : `${failures.length} of ${asked} are not found: ${failures.slice(0, EXAMPLES).join(', ')}`,
});

async function askConfigured(reader: SearchReader, queries: readonly GoldenQuery[]): Promise<RebuildCheck> {
  const failures: string[] = [];
  for (const { q, skus, currency } of queries) {
    const found = new Set((await hitsOf(reader, q, { limit: TOP, currency })).map(({ product }) => product.sku));
    failures.push(...skus.filter((sku) => !found.has(sku)).map((sku) => `${sku} by "${q}"`));
  }
  return toCheck(`golden queries: configured ones, in the first ${TOP}`, failures, { asked: queries.reduce((sum, { skus }) => sum + skus.length, 0) });
}

/** Products from both ends of what the live index has. */
async function sampleOf(live: SearchReader): Promise<readonly SearchHit['product'][]> {
  const sampled = new Map<string, SearchHit['product']>();
  for (const sort of SORTS) for (const { product } of (await live.search({ currency: 'USD', sort, limit: SAMPLE_OF_EACH })).hits) sampled.set(product.sku, product);
  return [...sampled.values()];
}

/** What the live index finds by its sku and by its name, the target must find too. */
async function askAsTheLiveOne(target: SearchReader, live: SearchReader): Promise<readonly RebuildCheck[]> {
  const [bySku, byName]: [string[], string[]] = [[], []];
  const asked = { bySku: 0, byName: 0 };
  for (const { sku, name, currency } of await sampleOf(live)) {
    // The live one last: what was deleted meanwhile is found by neither.
    const [hasSku, hasName] = [await finds(target, sku, { sku, limit: TOP, currency }), await finds(target, name, { sku, limit: NAME_TOP, currency })];
    const [liveHasSku, liveHasName] = [await finds(live, sku, { sku, limit: TOP, currency }), await finds(live, name, { sku, limit: TOP, currency })];
    if (liveHasSku) asked.bySku += 1;
    if (liveHasName) asked.byName += 1;
    if (liveHasSku && !hasSku) bySku.push(sku);
    if (liveHasName && !hasName) byName.push(`${sku} by "${name}"`);
  }
  return [
    toCheck('golden queries: by sku, as the live one', bySku, { asked: asked.bySku }),
    toCheck('golden queries: by name, as the live one', byName, { asked: asked.byName, allowed: Math.floor(asked.byName * NAMES_LOST_AT_MOST) }),
  ];
}

/** Asks the target what is configured, and what the live index (undefined: there is none to compare with) finds of a sample of its own. */
export async function askGolden(admin: Pick<SearchAdmin, 'openReader'>, { target, live, queries }: { readonly target: string; readonly live: string | undefined; readonly queries: readonly GoldenQuery[] }): Promise<readonly RebuildCheck[]> {
  const reader = await admin.openReader(target);
  const other = live === undefined ? undefined : await admin.openReader(live);
  try {
    const configured = queries.length === 0 ? [] : [await askConfigured(reader, queries)];
    return [...configured, ...(other ? await askAsTheLiveOne(reader, other) : [])];
  } finally {
    await reader.close();
    await other?.close();
  }
}
