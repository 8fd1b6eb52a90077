import type { SkuRange, StoredVersion } from '@millrace/contracts';
import { asTexts } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';
import { mergeRanges } from '../sku-ranges.ts';
import { asking } from './client.ts';
import type { Names } from './names.ts';

const pageSkus = 1_000;

/** Skus of a range in order, page by page. A sorted set with equal scores is ordered by bytes (ZRANGEBYLEX). */
export async function* walkSkus(redis: Redis, key: string, { from, to }: SkuRange = {}): AsyncIterable<readonly string[]> {
  let start = from === undefined ? '-' : `[${from}`;
  for (;;) {
    const page = asTexts(await asking(() => redis.call('ZRANGEBYLEX', [key, start, to === undefined ? '+' : `(${to}`, 'LIMIT', 0, pageSkus])));
    if (page.length > 0) yield page;
    if (page.length < pageSkus) return;
    start = `(${page.at(-1) ?? ''}`;
  }
}

/** The named fields of many hashes, in one round trip. */
export async function readHashes(redis: Redis, keys: readonly string[], fields: readonly string[]): Promise<readonly (readonly (string | undefined)[])[]> {
  if (keys.length === 0) return [];
  const pipeline = redis.pipeline();
  for (const key of keys) pipeline.hmget(key, ...fields);
  return asking(async () =>
    ((await pipeline.exec()) ?? []).map(([error, reply]) => {
      if (error) throw error;
      return Array.isArray(reply) ? reply.map((value: unknown) => (typeof value === 'string' ? value : undefined)) : [];
    }),
  );
}

export async function* readVersions({ redis, names }: { redis: Redis; names: Names }, { collection, ranges, signal }: { collection: string; ranges: readonly SkuRange[] | undefined; signal: AbortSignal | undefined }): AsyncIterable<readonly StoredVersion[]> {
  for (const range of mergeRanges(ranges)) {
    signal?.throwIfAborted();
    for await (const skus of walkSkus(redis, names.skus(collection), range)) {
      signal?.throwIfAborted();
      const hashes = await readHashes(redis, skus.map((sku) => names.record(collection, sku)), ['version', 'deleted']);
      // Deleted since the page was read.
      const page = skus.flatMap((sku, at) => (hashes[at]?.[0] === undefined || hashes[at][1] !== undefined ? [] : [{ sku, version: Number(hashes[at][0]), deleted: false }]));
      if (page.length > 0) yield page;
    }
  }
}
