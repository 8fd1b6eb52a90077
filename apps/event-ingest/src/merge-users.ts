import { eraseContext, mergeContext, setMergedInto } from '@millrace/context';
import { userMerges } from '@millrace/contracts';
import { FOREIGN_KEY_VIOLATION, inTransaction, isViolation } from '@millrace/database';
import type { Keys, Redis } from '@millrace/redis-kit';
import { AppError } from '@millrace/service';
import type { Pool, PoolClient } from 'pg';
import type { ErasedUsers } from './erased-users.ts';
import { findErasure, findTarget, LOCK_NAMES, LOCK_WRITERS } from './user-names.ts';

export interface MergeUsersDeps {
  /** Of its own: merging waits for merges, erasures and writers. */
  readonly locking: Pool;
  readonly redis: Redis;
  readonly keys: Keys;
  readonly ttlSeconds: number;
  readonly erased: ErasedUsers;
}

export interface Merged {
  readonly userId: string;
  /** Rows of the log that were moved now. */
  readonly moved: number;
}

const goneUser = (cause?: unknown): AppError => new AppError('gone', 'one of the two was erased', { cause });

/** Who `to` is, after `from` is one of its names; told to others by the outbox, once. */
async function record(client: PoolClient, { hmac }: ErasedUsers, from: string, to: string): Promise<{ readonly userId: string; readonly names: readonly string[] }> {
  await client.query(LOCK_NAMES);
  if (hmac && (await findErasure(client, [hmac(from), hmac(to)])) !== undefined) throw goneUser();
  const userId = (await findTarget(client, to)) ?? to;
  if (userId === from) throw new AppError('conflict', 'that id is a name of this user already: they are one the other way round');
  const before = await findTarget(client, from);
  if (before !== undefined && before !== userId) throw new AppError('conflict', 'that id was merged into another user before');
  await client.query('insert into events.users (user_id) select unnest($1::text[]) on conflict do nothing', [[from, userId].toSorted()]);
  const { rowCount: added } = await client.query('insert into events.user_aliases (alias, user_id) values ($1, $2) on conflict (alias) do nothing', [from, userId]);
  if (added === 1) await client.query('insert into events.outbox (stream, event_type, key, data) values ($1, $2, $3, $4)', [userMerges.name, 'merged', userId, JSON.stringify({ from, to: userId })]);
  await client.query('update events.user_aliases set user_id = $2 where user_id = $1', [from, userId]);
  const { rows } = await client.query<{ alias: string }>('select alias from events.user_aliases where user_id = $1', [userId]);
  return { userId, names: rows.map(({ alias }) => alias) };
}

/** Moves the rows of every name. */
async function moveRows(client: PoolClient, { userId, names }: { readonly userId: string; readonly names: readonly string[] }): Promise<number> {
  await client.query('select 1 from events.users where user_id = any($1::text[]) order by user_id for update', [names]);
  return (await client.query('update events.interaction_logs set user_id = $2 where user_id = any($1::text[])', [names, userId])).rowCount ?? 0;
}

/**
 * Makes `from` another name of `to`: first in Postgres, then in Redis, so that whoever repeats it after a failure ends it. Safe to repeat.
 * @throws AppError invalid_request for an id with itself, conflict where `from` was merged into another user, gone where one of them was erased
 */
export async function mergeUsers({ locking, redis, keys, ttlSeconds, erased }: MergeUsersDeps, from: string, to: string): Promise<Merged> {
  if (from === to) throw new AppError('invalid_request', 'a user cannot be merged into itself', { details: [{ in: 'body', pointer: '/from', detail: 'must be another id' }] });
  const merged = await inTransaction(locking, (client) => record(client, erased, from, to));
  // Writers that know nothing of the merge end first: a row of theirs locks its user only when it is written.
  await inTransaction(locking, (client) => client.query(LOCK_WRITERS));
  const moved = await inTransaction(locking, (client) => moveRows(client, merged)).catch((error: unknown) => {
    throw isViolation(error, FOREIGN_KEY_VIOLATION) ? goneUser(error) : error;
  });
  const { userId, names } = merged;
  try {
    for (const name of names) await setMergedInto(redis, keys, { from: name, to: userId });
    await mergeContext(redis, keys, { from, to: userId, ttlSeconds });
    // Erased between the transaction and here: what was just written to Redis goes, too.
    await erased.refresh();
    if (erased.has(userId)) for (const name of [userId, ...names]) await eraseContext(redis, keys, name);
  } catch (error) {
    throw new AppError('unavailable', 'the log is merged and the live context is not yet: send the same again', { cause: error, headers: { 'Retry-After': '1' } });
  }
  if (erased.has(userId)) throw goneUser();
  return { userId, moved };
}
