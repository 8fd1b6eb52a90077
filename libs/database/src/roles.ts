import { randomBytes } from 'node:crypto';
import { sql } from 'kysely';
import type { Kysely } from 'kysely';

/** A service's login role and the one schema that it may touch. */
export interface ServiceRole {
  readonly role: string;
  readonly schema: string;
  /** Kept where the role exists and its password is known. */
  readonly password?: string;
}

/** Can this user make roles? Managed databases may not allow it: then the URLs of existing roles are given from outside. */
export async function canCreateRoles(db: Kysely<unknown>): Promise<boolean> {
  const found = await sql<{ can: boolean }>`select rolcreaterole or rolsuper as can from pg_roles where rolname = current_user`.execute(db);
  return found.rows[0]?.can === true;
}

const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`;

/** Makes or updates the login role and returns its password. Rights are given by `grantSchema`. */
export async function ensureRole(db: Kysely<unknown>, { role, password = randomBytes(24).toString('base64url') }: ServiceRole): Promise<string> {
  const found = await sql`select 1 from pg_roles where rolname = ${role}`.execute(db);
  // Utility statements take no parameters: the name is quoted as an identifier, the password (base64url of our own) as a literal.
  const verb = found.rows.length === 0 ? 'create' : 'alter';
  await sql`${sql.raw(verb)} role ${sql.id(role)} login nosuperuser nocreatedb nocreaterole connection limit 60 password ${sql.raw(literal(password))}`.execute(db);
  return password;
}

/**
 * Rights on the service's own schema only; nothing on any other schema, nothing on public. Call it after each migration. Partitioned tables
 * belong to the service: only an owner may make and drop partitions.
 */
export async function grantSchema(db: Kysely<unknown>, { role, schema }: ServiceRole): Promise<void> {
  const to = sql.id(role);
  const on = sql.id(schema);
  const statements = [
    sql`revoke all on schema ${on} from public`,
    sql`revoke create on schema public from public`,
    sql`grant usage, create on schema ${on} to ${to}`,
    sql`grant select, insert, update, delete, truncate on all tables in schema ${on} to ${to}`,
    sql`grant usage, select, update on all sequences in schema ${on} to ${to}`,
    sql`grant execute on all functions in schema ${on} to ${to}`,
    sql`alter role ${to} set search_path = ${on}, pg_catalog`,
  ];
  for (const statement of statements) await statement.execute(db);
  const partitioned = await sql<{ name: string }>`
    select c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = ${schema} and c.relkind in ('p', 'r') and (c.relkind = 'p' or c.relispartition) and pg_get_userbyid(c.relowner) <> ${role}`.execute(db);
  if (partitioned.rows.length > 0) await sql`grant ${to} to current_user`.execute(db);
  for (const { name } of partitioned.rows) await sql`alter table ${sql.id(schema, name)} owner to ${to}`.execute(db);
}
