import { readFile, writeFile } from 'node:fs/promises';
import { canCreateRoles, createKysely, createPool, ensureRole, grantSchema, migrateSchema } from '@millrace/database';
import type { SchemaMigrations } from '@millrace/database';
import { roleOf, services } from '../services.ts';
import { UsageError } from '../usage-error.ts';

export interface MigrateOptions {
  /** The owner of the database. */
  readonly databaseUrl: string | undefined;
  readonly rolesFile: string;
  /** <APP>_DATABASE_URL that are given from outside, where the owner may not make roles. */
  readonly given: Readonly<Record<string, string | undefined>>;
  /** The service's migrations; apps are not imported, they are loaded. */
  readonly loadMigrations: (app: string) => Promise<SchemaMigrations>;
  readonly print: (line: string) => void;
}

const parseRoles = (text: string): Map<string, string> =>
  new Map(text.split('\n').flatMap((line) => {
    const match = /^([A-Z_]+)=(\S+)$/.exec(line);
    return match?.[1] !== undefined && match[2] !== undefined ? [[match[1], match[2]] as const] : [];
  }));

/** The owner's URL with another login. */
function withLogin(databaseUrl: string, user: string, password: string): string {
  const url = new URL(databaseUrl);
  url.username = user;
  url.password = password;
  return url.toString();
}

/**
 * Brings every schema to its newest version and gives each service a login role with rights on its own schema only. Roles keep the passwords
 * of the roles file (mode 0600); where roles cannot be made, the given URLs are used. Safe to call again, and on several machines at once.
 */
export async function migrate({ databaseUrl, rolesFile, given, loadMigrations, print }: MigrateOptions): Promise<void> {
  if (databaseUrl === undefined) throw new UsageError('set DATABASE_URL to the owner of the database');
  const pool = createPool({ url: databaseUrl, name: 'millrace-migrate', max: 2, statementTimeoutMs: 0 });
  const db = createKysely<unknown>(pool);
  try {
    const known = parseRoles(await readFile(rolesFile, 'utf8').catch(() => ''));
    const makesRoles = await canCreateRoles(db);
    const urls: string[] = [];
    for (const { app, variable, schema } of services) {
      const role = roleOf(schema, decodeURIComponent(new URL(databaseUrl).pathname.slice(1)));
      const applied = await migrateSchema(db, await loadMigrations(app));
      print(`${schema}: ${applied.length === 0 ? 'up to date' : `applied ${applied.join(', ')}`}`);
      const url = given[variable];
      if (url === undefined && !makesRoles) throw new UsageError(`${new URL(databaseUrl).username} may not create roles: make the role ${role} as infra/postgres/roles.sql shows, and set ${variable}`);
      if (url !== undefined && !makesRoles) continue;
      const earlier = url ?? known.get(variable);
      const password = await ensureRole(db, { role, schema, ...(earlier !== undefined && { password: decodeURIComponent(new URL(earlier).password) }) });
      await grantSchema(db, { role, schema });
      urls.push(`${variable}=${withLogin(databaseUrl, role, password)}`);
    }
    if (urls.length > 0) await writeFile(rolesFile, `${urls.join('\n')}\n`, { mode: 0o600 });
  } finally {
    await db.destroy();
  }
}
