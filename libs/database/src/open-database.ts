import type { ServiceContext } from '@millrace/service';
import type { Kysely } from 'kysely';
import { createKysely } from './kysely.ts';
import { checkSchemaVersion, waitForSchema } from './migrator.ts';
import type { SchemaMigrations } from './migrator.ts';
import { createPool } from './pool.ts';
import type { PoolOptions } from './pool.ts';

export type OpenDatabaseOptions = Omit<PoolOptions, 'logger'> & { readonly migrations: SchemaMigrations };

/** A service's own schema, on a pool of its own: resolves once it is migrated, is a readiness check from then on, and is closed with the service. */
export async function openDatabase<S>({ migrations, ...options }: OpenDatabaseOptions, { logger, health, onClose }: Pick<ServiceContext<unknown>, 'logger' | 'health' | 'onClose'>): Promise<Kysely<S>> {
  const pool = createPool({ ...options, logger });
  onClose(() => pool.end());
  const db = createKysely<S>(pool);
  await waitForSchema(db, migrations, logger);
  health.addCheck('database', () => checkSchemaVersion(db, migrations));
  return db;
}
