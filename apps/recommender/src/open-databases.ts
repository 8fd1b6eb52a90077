import { createKysely, createLockingPool, openDatabase } from '@millrace/database';
import type { ServiceContext } from '@millrace/service';
import type { Config } from './config.ts';
import type { RecsDb, RecsSchema } from './database.ts';
import { migrations } from './migrations/index.ts';

export interface Databases {
  /** For reads, and for writes that wait for nobody. */
  readonly db: RecsDb;
  /** For what waits for others: erasures, merges, served lists, changes of experiments. However many of them wait, whoever reads has a connection. */
  readonly locking: RecsDb;
}

export async function openDatabases({ RECOMMENDER_DATABASE_URL: url }: Pick<Config, 'RECOMMENDER_DATABASE_URL'>, context: Pick<ServiceContext<unknown>, 'logger' | 'health' | 'onClose'>): Promise<Databases> {
  const db = await openDatabase<RecsSchema>({ url, name: 'recommender', max: 4, migrations }, context);
  const locking = createLockingPool({ url, name: 'recommender-locking', logger: context.logger });
  context.onClose(() => locking.end());
  return { db, locking: createKysely<RecsSchema>(locking) };
}
