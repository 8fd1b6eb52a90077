import { randomBytes } from 'node:crypto';
import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import { INSUFFICIENT_PRIVILEGE, isViolation } from './errors.ts';

/** A service's login role and the one schema that it may touch. */
export interface ServiceRole {
  readonly role: string;
  readonly schema: string;
  /** Kept where the role exists and its password is known. */
  readonly password?: string;
}

/** Can this user make roles? Managed databases may not allow it: then roles are made by an administrator (infra/postgres/roles.sql). */
export async function canCreateRoles(db: Kysely<unknown>): Promise<boolean> {
  const found = await sql<{ can: boolean }>`select rolcreaterole or rolsuper as can from pg_roles where rolname = current_user`.execute(db);
  return found.rows[0]?.can === true;
}

const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`;

/** Makes or updates the login role and returns its password. Rights are given by `grantSchema`. */
export async function ensureRole(db: Kysely<unknown>, { role, schema, password = randomBytes(24).toString('base64url') }: ServiceRole): Promise<string> {
  const found = await sql`select 1 from pg_roles where rolname = ${role}`.execute(db);
  // Utility statements take no parameters: the name is quoted as an identifier, the password (base64url of our own) as a literal.
  // An owner with CREATEROLE who is no superuser may not name SUPERUSER, CREATEDB or CREATEROLE in ALTER, not even to take them away.
  const verb = found.rows.length === 0 ? 'create role' : 'alter role';
  const attributes = found.rows.length === 0 ? 'login nosuperuser nocreatedb nocreaterole connection limit 60' : 'login';
  await sql`${sql.raw(verb)} ${sql.id(role)} ${sql.raw(attributes)} password ${sql.raw(literal(password))}`.execute(db);
  await sql`revoke create on schema public from public`.execute(db);
  await sql`alter role ${sql.id(role)} set search_path = ${sql.id(schema)}, pg_catalog`.execute(db);
  return password;
}

/**
 * Rights on the service's own schema only; nothing on any other schema, nothing may be made in public. Call it after each migration, as the
 * owner of the schema. Partitioned tables belong to the service: only an owner may make and drop partitions. That needs a caller that is a
 * member of the role, or may become one.
 */
export async function grantSchema(db: Kysely<unknown>, { role, schema }: ServiceRole): Promise<void> {
  const to = sql.id(role);
  const on = sql.id(schema);
  const statements = [
    sql`revoke all on schema ${on} from public`,
    sql`grant usage, create on schema ${on} to ${to}`,
    sql`grant select, insert, update, delete, truncate on all tables in schema ${on} to ${to}`,
    sql`grant usage, select, update on all sequences in schema ${on} to ${to}`,
    sql`grant execute on all functions in schema ${on} to ${to}`,
  ];
  for (const statement of statements) await statement.execute(db);
  const partitioned = await sql<{ name: string }>`
    select c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = ${schema} and c.relkind in ('p', 'r') and (c.relkind = 'p' or c.relispartition) and pg_get_userbyid(c.relowner) <> ${role}`.execute(db);
  if (partitioned.rows.length === 0) return;
  // Who made the role may grant it to itself; where an administrator made it, the membership is there already.
  await sql`grant ${to} to current_user`.execute(db).catch((error: unknown) => {
    if (!isViolation(error, INSUFFICIENT_PRIVILEGE)) throw error;
  });
  for (const { name } of partitioned.rows) await sql`alter table ${sql.id(schema, name)} owner to ${to}`.execute(db);
}
