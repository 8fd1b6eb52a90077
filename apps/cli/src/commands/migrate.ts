import { readFile, writeFile } from 'node:fs/promises';
import { canCreateRoles, createKysely, createPool, ensureRole, grantSchema, migrateSchema } from '@millrace/database';
import type { SchemaMigrations } from '@millrace/database';
import type { Kysely } from 'kysely';
import type { Pool } from 'pg';
import { roleOf, services } from '../services.ts';
import { UsageError } from '../usage-error.ts';

export interface MigrateOptions {
  /** The owner of the database. */
  readonly databaseUrl: string | undefined;
  readonly rolesFile: string;
  /** <APP>_DATABASE_URL that are given from outside. */
  readonly given: Readonly<Record<string, string | undefined>>;
  /** The service's migrations; apps are not imported, they are loaded. */
  readonly loadMigrations: (app: string) => Promise<SchemaMigrations>;
  readonly print: (line: string) => void;
}

const parseRoles = (text: string): Map<string, string> =>
  new Map(text.split('\n').flatMap((line) => {
    const match = /^([A-Z][A-Z0-9_]*)=(\S+)$/.exec(line);
    return match?.[1] !== undefined && match[2] !== undefined ? [[match[1], match[2]] as const] : [];
  }));

/** The owner's URL with another login. */
function withLogin(databaseUrl: string, user: string, password: string): string {
  const url = new URL(databaseUrl);
  url.username = user;
  url.password = password;
  return url.toString();
}

const userOf = (databaseUrl: string): string => decodeURIComponent(new URL(databaseUrl).username);

/** One migration at a time, whatever machine starts it: roles and schemas have no lock of their own. */
async function underLock<T>(pool: Pool, work: () => Promise<T>): Promise<T> {
  const client = await pool.connect();
  try {
    await client.query(`select pg_advisory_lock(hashtextextended('millrace migrate', 0))`);
    return await work();
  } finally {
    client.release(true);
  }
}

/** The login of one service: the given one, else one of our own making. Undefined: given from outside, nothing to write down. */
async function grantService(db: Kysely<unknown>, service: (typeof services)[number], { databaseUrl, given, known }: { databaseUrl: string; given: string | undefined; known: string | undefined }): Promise<string | undefined> {
  const { schema, variable } = service;
  const makesRoles = await canCreateRoles(db);
  const role = roleOf(schema, decodeURIComponent(new URL(databaseUrl).pathname.slice(1)));
  if (given !== undefined && (userOf(given) !== role || !makesRoles)) {
    await grantSchema(db, { role: userOf(given), schema });
    return undefined;
  }
  if (!makesRoles) throw new UsageError(`${userOf(databaseUrl)} may not create roles: let an administrator run infra/postgres/roles.sql and set ${variable}`);
  const earlier = given ?? known;
  const password = await ensureRole(db, { role, schema, ...(earlier !== undefined && { password: decodeURIComponent(new URL(earlier).password) }) });
  await grantSchema(db, { role, schema });
  return `${variable}=${withLogin(databaseUrl, role, password)}`;
}

/**
 * Brings every schema to its newest version and gives each service a login role with rights on its own schema only. Roles keep the passwords
 * of the roles file (mode 0600). A given URL whose role is not of our making is only given its rights; so are all where roles cannot be made.
 * Safe to call again, and on several machines at once.
 */
export async function migrate({ databaseUrl, rolesFile, given, loadMigrations, print }: MigrateOptions): Promise<void> {
  if (databaseUrl === undefined) throw new UsageError('set DATABASE_URL to the owner of the database');
  const pool = createPool({ url: databaseUrl, name: 'millrace-migrate', max: 3, statementTimeoutMs: 0 });
  const db = createKysely<unknown>(pool);
  try {
    await underLock(pool, async () => {
      const known = parseRoles(await readFile(rolesFile, 'utf8').catch(() => ''));
      for (const { app, schema } of services) {
        const applied = await migrateSchema(db, await loadMigrations(app));
        print(`${schema}: ${applied.length === 0 ? 'up to date' : `applied ${applied.join(', ')}`}`);
      }
      const urls: string[] = [];
      for (const service of services) {
        const line = await grantService(db, service, { databaseUrl, given: given[service.variable], known: known.get(service.variable) });
        if (line !== undefined) urls.push(line);
      }
      if (urls.length > 0) await writeFile(rolesFile, `${urls.join('\n')}\n`, { mode: 0o600 });
    });
  } finally {
    await db.destroy();
  }
}
