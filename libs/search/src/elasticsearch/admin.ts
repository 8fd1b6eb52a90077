import type { Client } from '@elastic/elasticsearch';
import { SearchUnavailableError } from '../errors.ts';
import type { SearchAdmin } from '../ports.ts';
import { available, connect, statusOf } from './client.ts';
import type { ElasticsearchOptions } from './client.ts';
import { DEFINITION_HASH, indexDefinition } from './index-definition.ts';
import type { IndexOptions } from './index-definition.ts';
import { openElasticsearchSearchReader } from './reader.ts';
import { readVersionsOf, storedVersions } from './versions.ts';
import { createElasticsearchWriter, writeAliasOf } from './writer.ts';

const TIMEOUT_MS = 30_000;
const PURGE_BATCH = 1_000;
const DAY_MS = 86_400_000;

export interface ElasticsearchAdmin extends SearchAdmin {
  /** Deletes every index of the alias, the live one too. */
  dropAll(): Promise<void>;
}

/** Physical indexes are `<alias>-<n>`; the alias names the live one. */
export function openElasticsearchSearchAdmin(options: ElasticsearchOptions & IndexOptions): ElasticsearchAdmin {
  const { alias } = options;
  const client = connect(options, { timeoutMs: TIMEOUT_MS, retries: 1 });
  const list = (): Promise<string[]> => listIndexes(client, alias);
  const live = (): Promise<string | undefined> => liveIndex(client, alias);
  const drop = async (indexes: readonly string[]): Promise<void> => {
    if (indexes.length > 0) await available(client.indices.delete({ index: [...indexes], ignore_unavailable: true }));
  };
  return {
    liveIndex: live,
    async createIndex() {
      const last = Math.max(0, ...(await list()).map((index) => numberOf(alias, index) ?? 0));
      const index = await createNext(client, options, last + 1);
      return index;
    },
    openWriter: async (index) => createElasticsearchWriter(connect(options, { timeoutMs: TIMEOUT_MS, retries: 1 }), index),
    async swapTo(index) {
      const actions = [{ remove: { index: `${alias}-*`, alias, must_exist: false } }, { add: { index, alias } }];
      if (!(await client.indices.exists({ index }))) throw new SearchUnavailableError(`search index ${index} does not exist`);
      await available(client.indices.updateAliases({ actions }));
    },
    async dropIndex(index) {
      if (index !== (await live()) && (await list()).includes(index)) await drop([index]);
    },
    async dropOthers(keep) {
      const current = await live();
      const dropped = (await list()).filter((index) => index !== current && !keep.includes(index));
      await drop(dropped);
      return dropped;
    },
    async count(index) {
      const { count } = await available(client.count({ index, query: { term: { deleted: false } } }));
      return count;
    },
    readVersions: (index, ranges, signal) => readVersionsOf(client, index, ranges, signal),
    versionsOf: (index, skus) => storedVersions(client, index, skus),
    openReader: async (index) => openElasticsearchSearchReader({ ...options, alias: index, timeoutMs: TIMEOUT_MS }),
    definitionHash: DEFINITION_HASH,
    async definitionHashOf(index) {
      const found = await available(client.indices.getMapping({ index }));
      const hash: unknown = found[index]?.mappings._meta?.['definition_hash'];
      return typeof hash === 'string' ? hash : undefined;
    },
    async purgeTombstones(olderThanDays) {
      let purged = 0;
      for (const index of await list()) purged += await purge(client, index, Date.now() - olderThanDays * DAY_MS);
      return purged;
    },
    async ping() {
      await available(client.ping());
    },
    dropAll: async () => drop(await list()),
    close: () => client.close(),
  };
}

const numberOf = (alias: string, index: string): number | undefined => {
  const number = index.startsWith(`${alias}-`) ? index.slice(alias.length + 1) : '';
  return /^\d+$/.test(number) ? Number(number) : undefined;
};

async function listIndexes(client: Client, alias: string): Promise<string[]> {
  const found = await available(client.indices.get({ index: `${alias}-*`, features: ['aliases'], allow_no_indices: true }));
  return Object.keys(found).filter((index) => numberOf(alias, index) !== undefined);
}

async function liveIndex(client: Client, alias: string): Promise<string | undefined> {
  try {
    return Object.keys(await client.indices.getAlias({ name: alias })).find((index) => numberOf(alias, index) !== undefined);
  } catch (error) {
    if (statusOf(error) === 404) return undefined;
    return available(Promise.reject(error instanceof Error ? error : new Error(String(error))));
  }
}

/** Two callers never get the same index: the second one to ask for a name goes on to the next. */
async function createNext(client: Client, options: ElasticsearchOptions & IndexOptions, first: number): Promise<string> {
  for (let n = first; ; n++) {
    const index = `${options.alias}-${n}`;
    try {
      await client.indices.create({ index, ...indexDefinition(options), aliases: { [writeAliasOf(index)]: {} } });
      return index;
    } catch (error) {
      const isTaken = error instanceof Error && error.message.includes('resource_already_exists_exception');
      if (!isTaken) return available(Promise.reject(error instanceof Error ? error : new Error(String(error))));
    }
  }
}

/** Each delete names the sequence number that was read, so that a sku that came to life meanwhile stays. */
async function purge(client: Client, index: string, beforeMs: number): Promise<number> {
  let purged = 0;
  for (;;) {
    const { hits } = await available(
      client.search({
        index, size: PURGE_BATCH, _source: false, seq_no_primary_term: true,
        query: { bool: { filter: [{ term: { deleted: true } }, { range: { deleted_ms: { lt: beforeMs } } }] } },
      }),
    );
    if (hits.hits.length === 0) return purged;
    const { items } = await available(
      client.bulk({
        index, refresh: true,
        operations: hits.hits.map(({ _id, _seq_no, _primary_term }) => ({ delete: { _id, if_seq_no: _seq_no, if_primary_term: _primary_term } })),
      }),
    );
    const deleted = items.filter((item) => item.delete?.status === 200).length;
    purged += deleted;
    if (deleted === 0) return purged;
  }
}
