import { sql } from 'kysely';
import type { Kysely } from 'kysely';

/** Up to which event the session of a plan has been told of it, where it is not running: what a gateway that died did not say is found by another one. */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}

const statements = [
  'alter table gateway.plans add column told_event integer not null default 0',
  'update gateway.plans set told_event = last_event',
  // Every gateway looks for these every second. A plan that was never run is none of them.
  'create index plans_untold on gateway.plans (updated_at) where session_id is not null and told_event < last_event and fence > 0',
];
