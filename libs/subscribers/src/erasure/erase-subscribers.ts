import { setTimeout as delay } from 'node:timers/promises';
import { masterNodes } from '@millrace/redis-kit';
import type { Keys, Redis } from '@millrace/redis-kit';
import type { Pool, PoolClient } from 'pg';
import { ErasureSecretError, LoadNotPossibleError } from '../errors.ts';
import { publishPointer, readPointer } from '../generations/pointer.ts';
import type { Pointer } from '../generations/pointer.ts';
import { underLoadLock } from '../load/load-lock.ts';
import { schema } from '../load/tables.ts';
import { eraseFromRedis } from './erase-from-redis.ts';
import { eraseFromTables, vacuumTables } from './erase-from-tables.ts';
import type { ErasedRows } from './erase-from-tables.ts';
import { hasOpenErasures, requireErasureKey } from './erased-list.ts';
import { hmacOf, markOf } from './erasure-key.ts';

export interface ErasureStores {
  readonly redis: Redis;
  readonly keys: Keys;
  /** UT360_ERASURE_SECRET; needed as soon as somebody was erased. */
  readonly erasureSecret?: string | undefined;
}

/** Of one statement, and of one pipeline a node. */
const CHUNK = 500;

async function copyPointer(client: Pick<PoolClient, 'query'>, { redis, keys }: ErasureStores): Promise<Pointer> {
  const pointer = await readPointer(client);
  if (pointer.redis > 0) await publishPointer(redis, keys, pointer);
  return pointer;
}

type OnRows = (rows: ErasedRows) => void;

/**
 * Removes subscribers from both stores. First the tables, whose commit moves the pointer's version; then that version goes to Redis, from where on
 * late fills are refused; then the keys. Safe to repeat. `client` must hold the lock of loads. `onRows` is told of the rows that went, also where
 * Redis fails then.
 */
export async function removeFromStores(client: PoolClient, stores: ErasureStores, isdns: readonly string[], onRows?: OnRows): Promise<ErasedRows> {
  const erased = await eraseFromTables(client, isdns);
  onRows?.(erased);
  await copyPointer(client, stores);
  await eraseFromRedis(client, stores.redis, stores.keys, isdns);
  return erased;
}

const add = (sum: ErasedRows, more: ErasedRows): ErasedRows => Object.fromEntries([...new Set([...Object.keys(sum), ...Object.keys(more)])].map((name) => [name, (sum[name] ?? 0) + (more[name] ?? 0)]));

/**
 * Finishes every erasure that was recorded and is not done. Whoever holds the lock of loads may, and a load does before it switches. Killed
 * anywhere, the next one repeats it. Returns how many there were. Throws ErasureSecretError without the right secret. Costs one query where there is nothing to do.
 */
export async function completeErasures(client: PoolClient, stores: ErasureStores, onRows?: OnRows): Promise<number> {
  const { rows: open } = await client.query<{ hmac: string; sealed: Buffer }>(`select hmac, sealed from ${schema}.erased where sealed is not null order by seq`);
  if (open.length === 0) return 0;
  const { unseal } = await requireErasureKey(client, stores.erasureSecret);
  for (let at = 0; at < open.length; at += CHUNK) await removeFromStores(client, stores, open.slice(at, at + CHUNK).map(({ sealed }) => unseal(sealed)), onRows);
  await vacuumTables(client);
  await client.query(`update ${schema}.erased set sealed = null, done_at = now() where hmac = any($1::text[])`, [open.map(({ hmac }) => hmac)]);
  return open.length;
}

/** One transaction: from its commit on loads leave these subscribers out, and services answer 404 as soon as they hear of it. */
async function record(pool: Pool, secret: string, isdns: readonly string[]): Promise<number> {
  const client = await pool.connect();
  let isDone = false;
  try {
    await client.query('begin');
    // Also a lock: numbers of erasures are given in the order of their commits.
    await client.query(`update ${schema}.pointer set version = version + 1`);
    // Another secret may have been the first meanwhile.
    const key = await requireErasureKey(client, secret);
    await client.query(`insert into ${schema}.erasure_secret (fingerprint) select $1::text where not exists (select 1 from ${schema}.erased) on conflict (only_one) do update set fingerprint = excluded.fingerprint`, [key.fingerprint]);
    const named = isdns.map((isdn) => ({ isdn, hmac: hmacOf(key.hmacKey, isdn) }));
    const { rows } = await client.query<{ is_new: boolean }>(
      `insert into ${schema}.erased (hmac, mark, sealed) select * from unnest($1::text[], $2::int[], $3::bytea[])
       on conflict (hmac) do update set sealed = excluded.sealed, done_at = null returning xmax = 0 as is_new`,
      [named.map(({ hmac }) => hmac), named.map(({ isdn, hmac }) => key.coverMark(hmac, markOf(isdn))), named.map(({ isdn }) => key.seal(isdn))],
    );
    await client.query('commit');
    isDone = true;
    return rows.filter((row) => row.is_new).length;
  } finally {
    // Postgres rolls back with the connection.
    client.release(!isDone);
  }
}

export interface ErasureReport {
  /** Subscribers that were named, without repetitions. */
  readonly subscribers: number;
  /** Of those, never recorded before. */
  readonly recorded: number;
  /** `open`: recorded, answered 404, and not out of everything yet: a load or a running ut360-lookup finishes it. */
  readonly state: 'done' | 'open';
  readonly waits_for: 'load' | 'redis' | null;
  /** Rows that went, by table; of others, too, whose erasure was open. */
  readonly rows: ErasedRows;
}

export interface EraseOptions {
  /** How long to wait for a running load, and for Redis. */
  readonly waitMs: number;
  readonly name?: string;
}

const RETRY_MS = 500;
const LOCK_MS = 5_000;

/** Does every server of it? */
const answers = (redis: Redis): Promise<boolean> => Promise.all(masterNodes(redis).map((node) => node.ping())).then((replies) => replies.length > 0, () => false);

/** What a try came to: done, or what it waits for. Postgres' own failures are thrown. */
async function tryToComplete(pool: Pool, stores: ErasureStores, { name, waitMs }: Required<EraseOptions>, onRows: OnRows): Promise<ErasureReport['waits_for']> {
  try {
    return await underLoadLock(pool, async (client) => {
      try {
        await completeErasures(client, stores, onRows);
        return null;
      } catch (error) {
        if (error instanceof ErasureSecretError || (await answers(stores.redis))) throw error;
        return 'redis';
      }
    }, { name, waitMs });
  } catch (error) {
    if (error instanceof LoadNotPossibleError && !(error instanceof ErasureSecretError)) return 'load';
    throw error;
  }
}

/**
 * Erases subscribers for ever: recorded first, as HMACs; then out of every generation of both stores. ISDNs must be as `parseIsdn` gives them.
 * Where a load runs or Redis is away it waits, then says so: what is left is finished by the load before it switches, or by a running
 * ut360-lookup. Safe to repeat, and to kill. Throws ErasureSecretError without a secret, or with another one than before.
 */
export async function eraseSubscribers({ pool, ...stores }: ErasureStores & { readonly pool: Pool }, isdns: readonly string[], { waitMs, name = 'ut360-erase' }: EraseOptions): Promise<ErasureReport> {
  if (stores.erasureSecret === undefined) throw new ErasureSecretError('nobody can be erased without UT360_ERASURE_SECRET: set it to 32 random characters or more, the same for ut360-lookup and whoever loads, and keep it for ever. Nothing was changed');
  await requireErasureKey(pool, stores.erasureSecret);
  const named = [...new Set(isdns)];
  let recorded = 0;
  for (let at = 0; at < named.length; at += CHUNK) recorded += await record(pool, stores.erasureSecret, named.slice(at, at + CHUNK));
  const endMs = performance.now() + waitMs;
  let rows: ErasedRows = {};
  for (;;) {
    const waitsFor = await tryToComplete(pool, stores, { name, waitMs: Math.max(1, Math.min(LOCK_MS, endMs - performance.now())) }, (more) => { rows = add(rows, more); });
    const isDone = waitsFor === null || !(await hasOpenErasures(pool));
    if (isDone || performance.now() >= endMs) return { subscribers: named.length, recorded, state: isDone ? 'done' : 'open', waits_for: isDone ? null : waitsFor, rows };
    await delay(Math.min(RETRY_MS, waitMs));
  }
}
