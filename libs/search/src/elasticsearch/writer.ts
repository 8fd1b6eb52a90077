import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from '@elastic/elasticsearch';
import type { ChangeResult, SearchChange, SearchWriter } from '../ports.ts';
import { SearchUnavailableError } from '../errors.ts';
import { available, isUnavailable } from './client.ts';
import { toIndexed } from './document.ts';
import type { IndexedDocument } from './document.ts';

const BATCH = 1_000;
/** From so many changes on a refresh at once costs less than waiting for the next one: a backlog is being worked off. */
const REFRESH_NOW_FROM = 50;
const refreshFor = (changes: number): true | 'wait_for' => (changes >= REFRESH_NOW_FROM ? true : 'wait_for');

/** Bulk requests name this alias and require it, because Elasticsearch would create a missing index of any name without its mapping. */
export const writeAliasOf = (index: string): string => `${index}-write`;

/** Of documents that the engine could not take now: HTTP 429 from a full queue, above all. */
const RETRY_MS = [50, 200, 500];

type Item = { readonly status: number; readonly error?: { readonly type?: string | undefined; readonly reason?: string | null | undefined } | undefined } | undefined;

export function createElasticsearchWriter(client: Client, index: string): SearchWriter {
  const send = async (changes: readonly SearchChange[], refresh: boolean | 'wait_for'): Promise<readonly Item[]> => {
    const { items } = await available(
      client.bulk<IndexedDocument>({
        index: writeAliasOf(index),
        require_alias: true,
        refresh,
        operations: changes.flatMap((change) => [
          { index: { _id: change.sku, version: change.version, version_type: 'external_gte' as const } },
          toIndexed(change),
        ]),
      }),
    );
    return items.map(({ index: item }) => item);
  };
  /** A closed index is answered with 400, as if the document were to blame. */
  const isBusy = (item: Item): boolean => item?.error !== undefined && (isUnavailable(item.status) || item.error.type === 'index_closed_exception');
  /** Only documents that the engine could not take now are sent again; where it goes on so, it is the engine that is away. */
  const sendUntilTaken = async (changes: readonly SearchChange[], refresh: boolean | 'wait_for'): Promise<readonly Item[]> => {
    const taken: Item[] = [...(await send(changes, refresh))];
    for (let attempt = 0; ; attempt += 1) {
      const busy = changes.flatMap((change, at) => (isBusy(taken[at]) ? [{ change, at }] : []));
      const [first] = busy;
      if (!first) return taken;
      const waitMs = RETRY_MS[attempt];
      if (waitMs === undefined) throw new SearchUnavailableError(`elasticsearch cannot take documents now: ${taken[first.at]?.error?.reason ?? taken[first.at]?.status}`);
      await delay(waitMs);
      const again = await send(busy.map(({ change }) => change), refresh);
      for (const [n, { at }] of busy.entries()) taken[at] = again[n];
    }
  };
  const applyBatch = async (changes: readonly SearchChange[], isOnly: boolean): Promise<ChangeResult[]> => {
    const before = await categoriesBefore(client, index, changes);
    const items = await sendUntilTaken(changes, isOnly ? refreshFor(changes.length) : false);
    return changes.map((change, i) => {
      const { sku, version, product } = change;
      const item = items[i];
      const known = [before.get(sku), product?.category].filter((category) => typeof category === 'string');
      const categories = [...new Set(known)];
      if (item?.status === 409) return { sku, version, outcome: 'stale', categories };
      if (item === undefined || item.error !== undefined) {
        return { sku, version, outcome: 'failed', reason: item?.error?.reason ?? 'elasticsearch gave no result', categories };
      }
      return { sku, version, outcome: 'applied', categories };
    });
  };
  return {
    async apply(changes) {
      if (changes.length === 0) return [];
      const isOnly = changes.length <= BATCH;
      const results: ChangeResult[] = [];
      for (let at = 0; at < changes.length; at += BATCH) results.push(...(await applyBatch(changes.slice(at, at + BATCH), isOnly)));
      if (!isOnly) await available(client.indices.refresh({ index }));
      return results;
    },
    close: () => client.close(),
  };
}

/** Read by id, which sees changes that no refresh has made visible yet. */
async function categoriesBefore(client: Client, index: string, changes: readonly SearchChange[]): Promise<Map<string, string>> {
  const categories = new Map<string, string>();
  const ids = [...new Set(changes.map(({ sku }) => sku))];
  const { docs } = await available(client.mget<{ category?: string | null }>({ index, ids, _source_includes: ['category'] }));
  for (const doc of docs) {
    const category = '_source' in doc ? doc._source?.category : undefined;
    if (typeof category === 'string') categories.set(doc._id, category);
  }
  return categories;
}
