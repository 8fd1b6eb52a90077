import type { PoolClient } from 'pg';

/** One merge, or recording of an erasure, at a time: two must not lead in a circle, and an erasure takes all names. */
export const LOCK_NAMES = `select pg_advisory_xact_lock(hashtextextended('millrace:events:merge', 0))`;

/** Against whoever writes rows of users (`events.require_erasures`): got when every statement that writes now has committed. */
export const LOCK_WRITERS = `select pg_advisory_xact_lock(hashtextextended('millrace:events:erased', 0))`;

/** Whom this id was merged into. */
export const findTarget = async (client: PoolClient, id: string): Promise<string | undefined> =>
  (await client.query<{ user_id: string }>('select user_id from events.user_aliases where alias = $1', [id])).rows[0]?.user_id;

/** The job that erased one of these HMACs. */
export const findErasure = async (client: PoolClient, hmacs: readonly string[]): Promise<string | undefined> =>
  (await client.query<{ job: string }>('select job from events.erased where hmac = any($1::text[]) order by seq limit 1', [hmacs])).rows[0]?.job;
