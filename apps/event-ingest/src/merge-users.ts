import { mergeContext, setMergedInto } from '@millrace/context';
import type { Keys, Redis } from '@millrace/redis-kit';
import { AppError } from '@millrace/service';
import type { Pool, PoolClient } from 'pg';
import { inTransaction } from './in-transaction.ts';

export interface MergeUsersDeps {
  readonly pool: Pool;
  readonly redis: Redis;
  readonly keys: Keys;
  readonly ttlSeconds: number;
}

export interface Merged {
  readonly userId: string;
  /** Rows of the log that were moved now. */
  readonly moved: number;
}

const findTarget = async (client: PoolClient, id: string): Promise<string | undefined> =>
  (await client.query<{ user_id: string }>('select user_id from events.user_aliases where alias = $1', [id])).rows[0]?.user_id;

/** Who `to` is, after `from` is one of its names. One merge at a time: two must not lead in a circle. */
async function record(client: PoolClient, from: string, to: string): Promise<{ readonly userId: string; readonly names: readonly string[] }> {
  await client.query(`select pg_advisory_xact_lock(hashtextextended('millrace:events:merge', 0))`);
  const userId = (await findTarget(client, to)) ?? to;
  if (userId === from) throw new AppError('conflict', 'that id is a name of this user already: they are one the other way round');
  const before = await findTarget(client, from);
  if (before !== undefined && before !== userId) throw new AppError('conflict', 'that id was merged into another user before');
  await client.query('insert into events.users (user_id) select unnest($1::text[]) on conflict do nothing', [[from, userId].toSorted()]);
  await client.query('insert into events.user_aliases (alias, user_id) values ($1, $2) on conflict (alias) do nothing', [from, userId]);
  await client.query('update events.user_aliases set user_id = $2 where user_id = $1', [from, userId]);
  const { rows } = await client.query<{ alias: string }>('select alias from events.user_aliases where user_id = $1', [userId]);
  return { userId, names: rows.map(({ alias }) => alias) };
}

/** Waits for writers that still know nothing of the merge, then moves the rows of every name. */
async function moveRows(client: PoolClient, { userId, names }: { readonly userId: string; readonly names: readonly string[] }): Promise<number> {
  await client.query('select 1 from events.users where user_id = any($1::text[]) order by user_id for update', [names]);
  return (await client.query('update events.interaction_logs set user_id = $2 where user_id = any($1::text[])', [names, userId])).rowCount ?? 0;
}

/**
 * Makes `from` another name of `to`: first in Postgres, then in Redis, so that whoever repeats it after a failure ends it. Safe to repeat.
 * @throws AppError invalid_request for an id with itself, conflict where `from` was merged into another user
 */
export async function mergeUsers({ pool, redis, keys, ttlSeconds }: MergeUsersDeps, from: string, to: string): Promise<Merged> {
  if (from === to) throw new AppError('invalid_request', 'a user cannot be merged into itself', { details: [{ in: 'body', pointer: '/from', detail: 'must be another id' }] });
  const merged = await inTransaction(pool, (client) => record(client, from, to));
  const moved = await inTransaction(pool, (client) => moveRows(client, merged));
  const { userId, names } = merged;
  try {
    for (const name of names) await setMergedInto(redis, keys, { from: name, to: userId });
    await mergeContext(redis, keys, { from, to: userId, ttlSeconds });
  } catch (error) {
    throw new AppError('unavailable', 'the log is merged and the live context is not yet: send the same again', { cause: error, headers: { 'Retry-After': '1' } });
  }
  return { userId, moved };
}
