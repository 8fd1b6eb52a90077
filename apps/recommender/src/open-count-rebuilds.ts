import type { BusPositions } from '@millrace/bus';
import { interactions } from '@millrace/contracts';
import { runAsLeader } from '@millrace/projection';
import type { Keys, Redis } from '@millrace/redis-kit';
import { every } from '@millrace/service';
import type { IdentitySigner, ServiceContext } from '@millrace/service';
import type { Config } from './config.ts';
import { createCountRebuilds, partitionsOf } from './count-rebuilds.ts';
import type { CountRebuilds } from './count-rebuilds.ts';
import type { CountedPartitions } from './counted-partitions.ts';
import type { RecsDb } from './database.ts';
import { dropOldGenerations } from './drop-generations.ts';
import { createInteractionExport } from './read-interactions.ts';
import { rebuildCounts } from './rebuild-counts.ts';
import { createRoomCheck } from './room-check.ts';

export interface OpenCountRebuildsDeps extends Pick<ServiceContext<Config>, 'config' | 'logger' | 'metrics' | 'onClose'> {
  readonly db: RecsDb;
  /** Of its own: a rebuild's scripts stand before nobody's counting. */
  readonly redis: Redis;
  readonly keys: Keys;
  readonly positions: BusPositions;
  readonly partitions: CountedPartitions;
  readonly signer: IdentitySigner;
  readonly group: string;
}

/** Fuller than this no second set of counts is made: from 85 % on events go to Postgres. */
const MAX_MEMORY_SHARE = 0.8;
const TICK_MS = 5_000;

const minuteOf = (time: string): number | undefined => (time === 'off' ? undefined : Number(time.slice(0, 2)) * 60 + Number(time.slice(3)));

/** Rebuilds of the counts on their schedule, until the service ends. */
export function openCountRebuilds({ config, logger, metrics, onClose, db, redis, keys, positions, partitions, signer, group }: OpenCountRebuildsDeps): CountRebuilds {
  const stopping = new AbortController();
  const list = (): Promise<readonly number[]> => partitions.list();
  const log = createInteractionExport({ baseUrl: config.EVENT_INGEST_INTERNAL_URL, signer });
  const hasRoom = createRoomCheck(redis, MAX_MEMORY_SHARE);
  const rebuilds = createCountRebuilds({
    db, redis, keys, positions, metrics, logger, signal: stopping.signal, atMinute: minuteOf(config.COUNT_REBUILD_AT),
    asLeader: (work) => runAsLeader({ directUrl: config.DATABASE_DIRECT_URL ?? config.RECOMMENDER_DATABASE_URL, lock: 'millrace:recs:rebuild' }, work),
    rebuild: (signal) => rebuildCounts({ redis, keys, positions, log, group, hasRoom, partitions: list, addPartition: (partition) => partitions.add(partition), ttlSeconds: config.COUNT_TTL_DAYS * 86_400 }, signal),
    dropOld: () => dropOldGenerations({ redis, keys, partitions: list, current: async () => partitionsOf(await positions.layout(interactions)) }),
  });
  const stop = every(TICK_MS, { what: 'rebuilds of counts', logger }, () => rebuilds.tick());
  onClose(async () => {
    stop();
    stopping.abort(new Error('the service ends'));
    await rebuilds.close();
  });
  return rebuilds;
}
