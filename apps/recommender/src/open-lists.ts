import { readContext } from '@millrace/context';
import type { Keys, Redis } from '@millrace/redis-kit';
import type { Logger } from '@millrace/service';
import type { VectorReader } from '@millrace/vectors';
import { Counter } from 'prom-client';
import type { Registry } from 'prom-client';
import type { RecsDb } from './database.ts';
import type { Items } from './items.ts';
import type { CountedPartitions } from './counted-partitions.ts';
import { createCountReader } from './read-counts.ts';
import type { RecommendForUserDeps } from './recommend-for-user.ts';
import { createFindSimilar } from './similar-items.ts';
import { moveUserCounts } from './user-counts.ts';
import type { UserCountsDeps } from './user-counts.ts';
import { createNameBook } from './user-names.ts';
import type { NameBook } from './user-names.ts';

export interface OpenListsDeps {
  readonly db: RecsDb;
  readonly locking: RecsDb;
  /** Connection of requests. */
  readonly redis: Redis;
  readonly keys: Keys;
  /** The counts that are in force. */
  readonly live: CountedPartitions['live'];
  /** Connection of what runs behind requests. */
  readonly userCounts: UserCountsDeps;
  readonly items: Items;
  readonly vectors: VectorReader;
  readonly similarTimeoutMs: number;
  readonly logger: Logger;
  readonly metrics: Registry;
}

/** What lists are made of; what cannot be read is counted and left out. */
export function openLists({ db, locking, redis, keys, live, items, vectors, userCounts, similarTimeoutMs, logger, metrics }: OpenListsDeps): { readonly names: NameBook; readonly lists: RecommendForUserDeps & { readonly items: Items } } {
  const unread = new Counter({ name: 'recs_reads_failed_total', help: 'Context, counts or similar products that could not be read for a list', labelNames: ['store'], registers: [metrics] });
  const names = createNameBook({ db, locking, moveCounts: (merge) => moveUserCounts(userCounts, merge), onFailure: () => unread.inc({ store: 'names' }) });
  const lists = {
    namesOf: (userId: string) => names.find(userId), readContext: (userId: string) => readContext(redis, keys, userId),
    counts: createCountReader({ redis, live }), items, now: Date.now,
    similarTo: createFindSimilar({ vectors, timeoutMs: similarTimeoutMs, onFailure: () => unread.inc({ store: 'vectors' }) }),
    onFailure: (err: unknown) => {
      unread.inc({ store: 'redis' });
      logger.debug({ err }, 'a list was made without what Redis knows');
    },
  };
  return { names, lists };
}
