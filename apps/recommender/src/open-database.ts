import { checkSchemaVersion, createKysely, createPool, waitForSchema } from '@millrace/database';
import type { ServiceContext } from '@millrace/service';
import type { Config } from './config.ts';
import type { RecsDb, RecsSchema } from './database.ts';
import { migrations } from './migrations/index.ts';

/** This service's own schema, as soon as it is migrated; a readiness check from then on. */
export async function openDatabase({ config, logger, health, onClose }: Pick<ServiceContext<Config>, 'config' | 'logger' | 'health' | 'onClose'>): Promise<RecsDb> {
  const pool = createPool({ url: config.RECOMMENDER_DATABASE_URL, name: 'recommender', max: 4, logger });
  onClose(() => pool.end());
  const db = createKysely<RecsSchema>(pool);
  await waitForSchema(db, migrations, logger);
  health.addCheck('database', () => checkSchemaVersion(db, migrations));
  return db;
}
