import { createPool } from '@millrace/database';
import type { ServiceContext } from '@millrace/service';
import type { Pool } from 'pg';
import type { Config } from './config.ts';
import type { ErasedUsers } from './erased-users.ts';
import { countQuarantined, insertQuarantined, purgeQuarantine } from './quarantine.repository.ts';
import { createQuarantine } from './quarantine.ts';
import type { Quarantine } from './quarantine.ts';

export interface OpenQuarantine {
  readonly quarantine: Quarantine;
  /** Its own, of two connections: whatever is done with refused events takes none from the others. */
  readonly pool: Pool;
}

export interface OpenQuarantineDeps extends Pick<ServiceContext<Config>, 'config' | 'logger' | 'metrics' | 'onClose'> {
  readonly erased: Pick<ErasedUsers, 'has'>;
}

export function openQuarantine({ config, logger, metrics, onClose, erased }: OpenQuarantineDeps): OpenQuarantine {
  const pool = createPool({ url: config.EVENT_INGEST_DATABASE_URL, name: 'event-ingest-quarantine', max: 2, logger });
  onClose(() => pool.end());
  const quarantine = createQuarantine({
    insert: (items) => insertQuarantined(pool, items.filter(({ userId }) => userId === undefined || !erased.has(userId))), count: () => countQuarantined(pool), purge: () => purgeQuarantine(pool),
    maxRows: config.QUARANTINE_MAX_ROWS, maxRowsPerMinute: config.QUARANTINE_ROWS_PER_MINUTE, metrics, logger,
  });
  onClose(() => quarantine.close());
  return { quarantine, pool };
}
