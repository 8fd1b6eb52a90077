import { createOutboxTables } from '@millrace/outbox';
import { sql } from 'kysely';
import type { Kysely } from 'kysely';

/** Erased users and the jobs that erase them, and the outbox by which merges are told to others. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await createOutboxTables(db, { schema: 'events' });
  for (const statement of statements) await sql.raw(statement).execute(db);
}

/** Advisory lock: shared by whoever writes rows of users, exclusive while somebody is recorded as erased. */
const lock = `hashtextextended('millrace:events:erased', 0)`;

const statements = [
  // users: the names of the person, only until the job is done.
  `create table events.erasures (
     job uuid primary key default gen_random_uuid(),
     users text[],
     names integer not null,
     phase text not null default 'marking' check (phase in ('marking', 'erasing', 'draining', 'again', 'checking', 'done')),
     attempt integer not null default 0,
     from_attempt integer not null default 0,
     published_at timestamptz,
     due_at timestamptz not null default now(),
     failures integer not null default 0,
     waiting_for text[] not null default '{}',
     requested_at timestamptz not null default now(),
     finished_at timestamptz)`,
  `create index erasures_running on events.erasures (due_at) where phase <> 'done'`,
  // HMACs of every name of an erased user: kept for ever. seq grows in the order of the commits, see the lock.
  `create table events.erased (
     hmac text collate "C" primary key,
     seq bigint generated always as identity unique,
     job uuid not null references events.erasures (job),
     erased_at timestamptz not null default now())`,
  // HMAC of a fixed text under the same secret: another secret is noticed.
  `create table events.erasure_secret (only_one boolean primary key default true check (only_one), fingerprint text not null)`,
  `create table events.erasure_receipts (
     job uuid not null references events.erasures (job),
     attempt integer not null,
     service text not null,
     store text not null,
     found bigint not null,
     erased bigint not null,
     due bigint not null,
     primary key (job, attempt, service, store))`,
  // Volatile: it sees what was committed before it got the lock, whatever the statement around it sees. A writer that gets the lock first ends before the erasure is recorded.
  `create function events.require_erasures(known bigint) returns boolean language plpgsql volatile as $$
   begin
     perform pg_advisory_xact_lock_shared(${lock});
     if (select coalesce(max(seq), 0) from events.erased) > known then
       raise exception 'users were erased meanwhile' using errcode = 'MR410';
     end if;
     return true;
   end $$`,
];
