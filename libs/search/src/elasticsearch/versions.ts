import type { Client, estypes } from '@elastic/elasticsearch';
import type { SkuRange, StoredVersion } from '@millrace/contracts';
import { orderedRanges } from '../sku-ranges.ts';
import { available, errorOf } from './client.ts';
import type { Query } from './query.ts';

const PAGE = 5_000;
const MGET_BATCH = 1_000;
const KEEP_ALIVE = '2m';
const COLUMNS = ['sku', 'version', 'deleted'];

interface VersionFields { readonly version: number; readonly deleted: boolean }

function toStored({ fields }: estypes.SearchHit): StoredVersion[] {
  const first = (name: string): unknown => (Array.isArray(fields?.[name]) ? fields[name][0] : undefined);
  const [sku, version] = [first('sku'), first('version')];
  return typeof sku === 'string' && typeof version === 'number' ? [{ sku, version, deleted: first('deleted') === true }] : [];
}

/** From columns alone, over one point in time. Keywords are compared by their UTF-8 bytes. */
export async function* readVersionsOf(client: Client, index: string, ranges: readonly SkuRange[] | undefined, signal: AbortSignal | undefined): AsyncGenerator<StoredVersion[]> {
  signal?.throwIfAborted();
  const point = await available(client.openPointInTime({ index, keep_alive: KEEP_ALIVE }));
  let { id } = point;
  try {
    for (const { from = '', to } of orderedRanges(ranges)) {
      const inRange: Query = { range: { sku: to === undefined ? { gte: from } : { gte: from, lt: to } } };
      for (let after: estypes.SortResults | undefined; ; ) {
        signal?.throwIfAborted();
        const { hits, pit_id: next = id } = await available(
          client.search({
            pit: { id, keep_alive: KEEP_ALIVE }, size: PAGE, _source: false, track_total_hits: false, docvalue_fields: COLUMNS,
            query: { bool: { filter: [{ term: { deleted: false } }, inRange] } }, sort: [{ sku: 'asc' }],
            ...(after === undefined ? {} : { search_after: after }),
          }),
        );
        id = next;
        const page = hits.hits.flatMap(toStored);
        if (page.length > 0) yield page;
        after = hits.hits.at(-1)?.sort;
        if (hits.hits.length < PAGE) break;
      }
    }
  } finally {
    await available(client.closePointInTime({ id }, { ignore: [404] }));
  }
}

/** Read by id: sees changes that no refresh has made visible yet. */
export async function storedVersions(client: Client, index: string, skus: readonly string[]): Promise<Map<string, StoredVersion>> {
  const stored = new Map<string, StoredVersion>();
  const ids = [...new Set(skus)];
  for (let at = 0; at < ids.length; at += MGET_BATCH) {
    const { docs } = await available(client.mget<VersionFields>({ index, ids: ids.slice(at, at + MGET_BATCH), _source_includes: ['version', 'deleted'] }));
    for (const doc of docs) {
      if ('error' in doc) throw errorOf(doc.error.type === 'index_not_found_exception' ? 404 : 500, doc.error.reason ?? doc.error.type);
      if ('_source' in doc && doc._source !== undefined) stored.set(doc._id, { sku: doc._id, version: doc._source.version, deleted: doc._source.deleted });
    }
  }
  return stored;
}

/** As searches see it: unlike a read by id it waits for the refresh. */
export async function visibleVersion(client: Client, index: string, sku: string): Promise<StoredVersion | undefined> {
  const { hits } = await available(client.search({ index, size: 1, _source: false, track_total_hits: false, docvalue_fields: COLUMNS, query: { term: { sku } } }));
  return hits.hits.flatMap(toStored)[0];
}
