import type { Client } from '@millrace/client/contract';
import { getCache, purgeCache } from '@millrace/contracts';
import type { CacheBody } from '@millrace/contracts';
import { renderTable } from '../table.ts';
import type { Column } from '../table.ts';
import { UsageError } from '../usage-error.ts';

export interface PurgeOptions {
  readonly operation?: string;
  readonly all?: boolean;
}

/** True: done. False: the gateway owes it, because the Redis of the cache does not answer. */
export async function purge(client: Client, tags: readonly string[], { operation, all = false }: PurgeOptions): Promise<boolean> {
  const given = [tags.length > 0, operation !== undefined, all].filter(Boolean).length;
  if (given !== 1) throw new UsageError('say what to purge: tags (sku:MR-0001, category:Audio, store:search), or --operation, or --all');
  const body = all ? { all: true as const } : operation !== undefined ? { operation } : { tags: [...tags] };
  return (await client.call(purgeCache, { body })).body.done;
}

export const stats = async (client: Client): Promise<CacheBody> => (await client.call(getCache)).body;

const share = (part: number, whole: number): string => (whole === 0 ? '-' : `${Math.round((100 * part) / whole)} %`);
const mebibytes = (bytes: number): string => `${(bytes / 1_048_576).toFixed(1)} MiB`;

type Row = CacheBody['operations'][number];
const savedBy = ({ calls: { near, hit, stale, stale_error: standIn, collapsed } }: Row): number => near + hit + stale + standIn + collapsed;
const allOf = (row: Row): number => savedBy(row) + row.calls.miss + row.calls.bypass;
const outcomes = ['near', 'hit', 'stale', 'stale_error', 'collapsed', 'miss', 'bypass'] as const;

const columns: readonly Column<Row>[] = [
  { head: 'OPERATION', of: ({ operation }) => operation },
  { head: 'FRESH', of: ({ fresh_seconds: fresh }) => `${fresh} s` },
  { head: 'CALLS', of: allOf },
  { head: 'SAVED', of: (row) => share(savedBy(row), allOf(row)) },
  ...outcomes.map((outcome) => ({ head: outcome.toUpperCase().replace('_', ' '), of: (row: Row) => row.calls[outcome] })),
];

export function describeStats({ enabled, usable, operations, near, redis }: CacheBody): string[] {
  if (!enabled) return ['the response cache is off (CACHE_ENABLED=false)'];
  return [
    renderTable(columns, operations),
    `near: ${near.entries} answers, ${mebibytes(near.bytes)}`,
    redis === null ? 'redis: does not answer' : `redis: ${mebibytes(redis.used_bytes)}${redis.max_bytes > 0 ? ` of ${mebibytes(redis.max_bytes)}` : ''}, ${redis.evicted_keys} keys evicted`,
    ...(usable ? [] : ['the cache cannot be used now: services answer']),
  ];
}
