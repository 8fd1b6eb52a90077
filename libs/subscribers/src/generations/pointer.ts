import { sendByNode } from '@millrace/redis-kit';
import type { Keys, Redis } from '@millrace/redis-kit';
import type { Pool, PoolClient } from 'pg';
import { z } from 'zod';
import { datasetNames } from '../datasets.ts';
import type { DatasetName } from '../datasets.ts';
import { schema } from '../load/tables.ts';

/** Which generation of each dataset is live, and which set of Redis keys was written from them; 0 = none yet. */
export type Triple = Readonly<Record<DatasetName, number>>;

const pointerSchema = z.object({
  recommendations: z.int(), profiles: z.int(), arpu: z.int(), redis: z.int(),
  /** Grows with every switch, also with a rollback: the newer pointer is the one with the larger version. */
  version: z.int(),
  switched_at: z.string(),
  /** When each dataset was loaded; null: never. */
  loaded_at: z.object({ recommendations: z.string().nullable(), profiles: z.string().nullable(), arpu: z.string().nullable() }),
  /** The newest month of ARPU (2026-10); null: there is none. */
  last_month: z.string().nullable(),
});
export type Pointer = z.output<typeof pointerSchema>;

const iso = (column: string): string => `to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;
const loadedAt = (name: DatasetName): string => `'${name}', (select ${iso('made_at')} from ${schema}.dataset_generations d where d.dataset = '${name}' and d.number = p.${name} and d.number > 0)`;

/** The truth: one row of Postgres. */
export async function readPointer(db: Pick<Pool | PoolClient, 'query'>): Promise<Pointer> {
  const { rows } = await db.query<Record<string, unknown>>(`
    select recommendations, profiles, arpu, redis, version, ${iso('switched_at')} as switched_at, json_build_object(${datasetNames.map(loadedAt).join(', ')}) as loaded_at,
      (select to_char(last_month, 'YYYY-MM') from ${schema}.dataset_generations d where d.dataset = 'arpu' and d.number = p.arpu) as last_month
    from ${schema}.pointer p`);
  return pointerSchema.parse(rows[0]);
}

/**
 * Has that database, a replica it may be, the set that a pointer names, made at the same time, and a pointer that is not older? What was committed before
 * the pointer is there then, too.
 */
export async function isSetThere(db: Pick<Pool | PoolClient, 'query'>, pointer: Pointer): Promise<boolean> {
  const { rows } = await db.query<{ loaded_at: unknown }>(`
    select json_build_object(${datasetNames.map(loadedAt).join(', ')}) as loaded_at from ${schema}.generation_sets p
    where redis = $1 and recommendations = $2 and profiles = $3 and arpu = $4 and state = 'ready' and (select version from ${schema}.pointer) >= $5`,
  [pointer.redis, pointer.recommendations, pointer.profiles, pointer.arpu, pointer.version]);
  const found = pointerSchema.shape.loaded_at.safeParse(rows[0]?.loaded_at).data;
  return found !== undefined && datasetNames.every((name) => found[name] === pointer.loaded_at[name]);
}

/** The text of a copy in Redis, or undefined where it is none. */
export function parsePointer(text: string | null | undefined): Pointer | undefined {
  if (text === null || text === undefined) return undefined;
  try {
    const parsed = pointerSchema.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}

/** Only forwards: a slow writer of an older pointer changes nothing. `force`: whatever is there. Also on a server that is full: going back must not need room. */
const SET_POINTER = `#!lua flags=allow-oom
local before = redis.call('GET', KEYS[1])
if ARGV[3] ~= '1' and before then
  local ok, known = pcall(cjson.decode, before)
  if ok and type(known) == 'table' and tonumber(known.version) and tonumber(known.version) >= tonumber(ARGV[2]) then return 0 end
end
redis.call('SET', KEYS[1], ARGV[1])
return 1`;

/** Copies the pointer to Redis, to every bucket on Cluster. A newer one that is there stays, unless forced. */
export async function publishPointer(redis: Redis, keys: Keys, pointer: Pointer, { force = false } = {}): Promise<void> {
  const text = JSON.stringify(pointer);
  // A thousand copies on Cluster: one round trip a node, so that they differ for as short as can be.
  await sendByNode(redis, keys.subscriberPointers.map((key) => ({ key, name: 'EVAL', args: [SET_POINTER, 1, key, text, pointer.version, force ? 1 : 0] })));
}

/** Copies that are missing: what Redis had beside them is probably missing, too. On Cluster every node has some. */
export async function lostPointers(redis: Redis, keys: Keys): Promise<number> {
  const found = await sendByNode(redis, keys.subscriberPointers.map((key) => ({ key, name: 'EXISTS', args: [key] })));
  return found.filter((one) => one === 0).length;
}

/** Copies that are missing, or older than the row. */
export async function stalePointers(redis: Redis, keys: Keys, pointer: Pointer): Promise<number> {
  const texts = await sendByNode(redis, keys.subscriberPointers.map((key) => ({ key, name: 'GET', args: [key] })));
  return texts.filter((text) => parsePointer(typeof text === 'string' ? text : undefined)?.version !== pointer.version).length;
}
