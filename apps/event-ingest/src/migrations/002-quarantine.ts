import { sql } from 'kysely';
import type { Kysely } from 'kysely';

/** Events that were refused as invalid. */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}

const statements = [
  // user_id: where the item names one that can be read. raw: at most 8 kB of the text, without what looks like a secret.
  `create table events.quarantine (
     id bigint generated always as identity primary key,
     received_at timestamptz not null,
     route text not null,
     place int,
     key_id text collate "C" not null,
     event_id text collate "C" not null,
     user_id text collate "C",
     code text collate "C" not null,
     pointer text not null,
     reason text not null,
     raw text not null,
     bytes int not null,
     is_cut boolean not null,
     checked_at timestamptz,
     repaired_at timestamptz)`,
  'create index quarantine_user on events.quarantine (user_id) where user_id is not null',
  'create index quarantine_received on events.quarantine (received_at)',
];
