import { checkSchemaVersion, createKysely, createPool, waitForSchema } from '@millrace/database';
import type { ServiceContext } from '@millrace/service';
import type { Config } from './config.ts';
import type { SearchDb, SearchSchema } from './database.ts';
import { migrations } from './migrations/index.ts';

/** This service's own schema, as soon as it is migrated; a readiness check from then on. */
export async function openDatabase({ config, logger, health, onClose }: Pick<ServiceContext<Config>, 'config' | 'logger' | 'health' | 'onClose'>): Promise<SearchDb> {
  const pool = createPool({ url: config.ES_SYNC_WORKER_DATABASE_URL, name: 'es-sync-worker', max: 4, logger });
  onClose(() => pool.end());
  const db = createKysely<SearchSchema>(pool);
  await waitForSchema(db, migrations, logger);
  health.addCheck('database', () => checkSchemaVersion(db, migrations));
  return db;
}
