import { asList } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';
import type { SimilarQuery } from '../ports.ts';
import { defaultHnsw, type RedisVectorOptions } from './client.ts';
import { payloadFields } from './hashes.ts';
import { toTag } from './names.ts';

type Arguments = readonly (string | number | Buffer)[];

/** Runs the search of one query. Every value travels as a parameter. */
export type Search = (vector: Float32Array, query: SimilarQuery) => Promise<unknown>;

/** The field of an answer that holds 1 - similarity. */
export const distance = 'distance';
const returned = ['sku', 'embedded_at', distance, ...payloadFields];

/** A filter is compared with each product that passes it, up to this many: exact, and at most some 5 ms, in which the server does nothing else. */
const defaultExactUpTo = 5_000;
/** How long the number of products that pass a filter is taken for true. */
const sizeValidMs = 30_000;
const maxSizes = 1_000;

interface Filter { readonly text: string; readonly params: readonly string[] }

/**
 * Without a filter, and where very many pass it, the graph is asked (approximate); else every product that passes is compared (ADHOC_BF),
 * because the graph is slower there and loses up to 8 % (docs/adr/0010-redis-vectors.md).
 */
export function createSearch(redis: Redis, index: string, { hnsw, exactUpTo = defaultExactUpTo }: RedisVectorOptions): Search {
  const efRuntime = hnsw?.efRuntime ?? defaultHnsw.efRuntime;
  const sizeOf = createSizes(redis, index);
  return async (vector, query) => {
    const filter = toFilter(query);
    const isExact = filter !== undefined && (await sizeOf(filter)) <= exactUpTo;
    return redis.call('FT.SEARCH', [index, ...searchArguments(vector, query, { filter, how: isExact ? 'exact' : Math.max(efRuntime, countOf(query)) })]);
  };
}

function toFilter({ category, brand }: SimilarQuery): Filter | undefined {
  const tags = Object.entries({ category, brand }).flatMap(([name, value]) => (value === undefined ? [] : [{ name, value: toTag(value) }]));
  if (tags.length === 0) return undefined;
  return { text: `(${tags.map(({ name }) => `@${name}_tag:{$${name}}`).join(' ')})`, params: tags.flatMap(({ name, value }) => [name, value]) };
}

/** As many more are asked for as are left out: at most those can be in the way. */
const countOf = ({ limit, excludeSkus }: SimilarQuery): number => limit + excludeSkus.length;

/** `how`: exact, or how many candidates the graph looks at. */
function searchArguments(vector: Float32Array, query: SimilarQuery, { filter, how }: { filter: Filter | undefined; how: 'exact' | number }): Arguments {
  const count = countOf(query);
  const by = how === 'exact' ? { text: 'HYBRID_POLICY ADHOC_BF', params: [] } : { text: 'EF_RUNTIME $ef', params: ['ef', how] };
  const params = ['vector', Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength), 'count', count, ...by.params, ...(filter?.params ?? [])];
  return [
    `${filter?.text ?? '*'}=>[KNN $count @vector $vector ${by.text} AS ${distance}]`, 'PARAMS', params.length, ...params,
    'SORTBY', distance, 'ASC', 'RETURN', returned.length, ...returned, 'LIMIT', 0, count, 'DIALECT', 2,
  ];
}

/** How many products pass a filter, as of the last half minute. */
function createSizes(redis: Redis, index: string): (filter: Filter) => Promise<number> {
  const known = new Map<string, { readonly size: number; readonly atMs: number }>();
  return async ({ text, params }) => {
    const key = JSON.stringify(params);
    const found = known.get(key);
    if (found !== undefined && Date.now() - found.atMs < sizeValidMs) return found.size;
    const reply = asList(await redis.call('FT.SEARCH', [index, text, 'PARAMS', params.length, ...params, 'NOCONTENT', 'LIMIT', 0, 0, 'DIALECT', 2]));
    if (known.size >= maxSizes) known.clear();
    known.set(key, { size: Number(reply[0]), atMs: Date.now() });
    return Number(reply[0]);
  };
}
