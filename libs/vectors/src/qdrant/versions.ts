import type { SkuRange, StoredVersion } from '@millrace/contracts';
import type { QdrantClient } from '@qdrant/js-client-rest';
import { z } from 'zod';
import { skuFilter } from '../sku-ranges.ts';
import { asking } from './client.ts';
import { modelPointId } from './points.ts';

const pagePoints = 1_000;
const versionSchema = z.object({ sku: z.string(), version: z.number() });

/** One scroll over all points, in the order of their ids, which are hashes: ranges are chosen from it here. */
export async function* readVersions(client: QdrantClient, { collection, ranges, signal }: { collection: string; ranges: readonly SkuRange[] | undefined; signal: AbortSignal | undefined }): AsyncIterable<readonly StoredVersion[]> {
  const isWanted = skuFilter(ranges);
  const filter = { must_not: [{ key: 'deleted', match: { value: true } }, { has_id: [modelPointId] }] };
  const read = (offset: string | number | undefined) =>
    asking(() => client.scroll(collection, { filter, limit: pagePoints, with_payload: ['sku', 'version'], with_vector: false, ...(offset !== undefined && { offset }) }));
  let offset: string | number | undefined;
  do {
    signal?.throwIfAborted();
    const { points, next_page_offset: next } = await read(offset);
    const page = points.map(({ payload }) => ({ ...versionSchema.parse(payload), deleted: false })).filter(({ sku }) => isWanted(sku));
    if (page.length > 0) yield page;
    offset = typeof next === 'string' || typeof next === 'number' ? next : undefined;
  } while (offset !== undefined);
}
