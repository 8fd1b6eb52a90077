import { createOutboxTables } from '@millrace/outbox';
import { sql } from 'kysely';
import type { Kysely } from 'kysely';

/** Workspaces, rotation with overlap, last use, and an outbox that tells of every change of a key, whoever makes it. */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
  await createOutboxTables(db, { schema: 'gateway' });
  for (const statement of changes) await sql.raw(statement).execute(db);
}

const iso = (column: string): string => `to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;

const statements = [
  `alter table gateway.api_keys
     add column workspace_id text not null default 'default',
     add column created_by text,
     add column rotated_at timestamptz`,
  `create table gateway.old_key_secrets (
     hash text primary key,
     key_id text not null references gateway.api_keys (id) on delete cascade,
     valid_until timestamptz not null)`,
  'create index old_key_secrets_key on gateway.old_key_secrets (key_id)',
  // A table of its own: written every few seconds, it is no change of a key.
  `create table gateway.key_usage (
     key_id text primary key,
     last_used_at timestamptz not null)`,
  `create view gateway.listed_keys as
     select k.id, k.name, case when k.origins is null then 'secret' else 'publishable' end as kind,
       case when k.revoked_at is not null then 'revoked' when k.expires_at <= now() then 'expired' when k.is_development then 'development' else 'active' end as state,
       k.workspace_id, k.scopes, k.origins, k.event_types, ${iso('k.created_at')} as created_at, k.created_by, ${iso('k.expires_at')} as expires_at, ${iso('k.revoked_at')} as revoked_at, ${iso('k.rotated_at')} as rotated_at,
       (select ${iso('max(s.valid_until)')} from gateway.old_key_secrets s where s.key_id = k.id and s.valid_until > now() and k.revoked_at is null) as old_secret_until,
       ${iso('u.last_used_at')} as last_used_at
     from gateway.api_keys k left join gateway.key_usage u on u.key_id = k.id`,
  // One statement for the gateway and the command line. False: no such key, or one that is revoked, expired, or made for development.
  `create function gateway.rotate_key(rotated text, new_hash text, overlap_seconds integer) returns boolean language plpgsql as $$
   declare
     old_hash text;
   begin
     select hash into old_hash from gateway.api_keys where id = rotated and revoked_at is null and not is_development and (expires_at is null or expires_at > now()) for update;
     if not found then return false; end if;
     update gateway.old_key_secrets set valid_until = least(valid_until, now() + make_interval(secs => overlap_seconds)) where key_id = rotated;
     delete from gateway.old_key_secrets where key_id = rotated and valid_until <= now();
     if overlap_seconds > 0 then
       insert into gateway.old_key_secrets (hash, key_id, valid_until) values (old_hash, rotated, now() + make_interval(secs => overlap_seconds));
     end if;
     update gateway.api_keys set hash = new_hash, rotated_at = now() where id = rotated;
     return true;
   end $$`,
  `alter table gateway.audit_log add column workspace_id text not null default 'default'`,
  'create index audit_log_workspace on gateway.audit_log (workspace_id, at desc, id desc)',
  'create index audit_log_key on gateway.audit_log (workspace_id, key_id, at desc, id desc)',
  'create index audit_log_operation on gateway.audit_log (workspace_id, operation, at desc, id desc)',
];

const changes = [
  `create function gateway.tell_key_change() returns trigger language plpgsql as $$
   begin
     if tg_op = 'UPDATE' and (old.hash, old.scopes, old.workspace_id, old.is_development, old.expires_at, old.revoked_at, old.origins, old.event_types)
       is not distinct from (new.hash, new.scopes, new.workspace_id, new.is_development, new.expires_at, new.revoked_at, new.origins, new.event_types) then return null; end if;
     insert into gateway.outbox (stream, event_type, key, data) values ('gateway:keys', 'changed', old.id, json_build_object('key_id', old.id)::text);
     return null;
   end $$`,
  'create trigger api_keys_changed after update or delete on gateway.api_keys for each row execute function gateway.tell_key_change()',
];
