import type { Keys, Redis } from '@millrace/redis-kit';
import type { Logger } from '@millrace/service';
import { ErasureSecretError, LoadNotPossibleError, completeErasures, findSpareSets, hasOpenErasures, lostPointers, pruneGenerations, publishPointer, readPointer, stalePointers, underLoadLock, verifyGenerations } from '@millrace/subscribers';
import type { Pointer } from '@millrace/subscribers';
import type { Pool } from 'pg';
import type { ErasedSubscribers } from './erased-subscribers.ts';
import type { IndexName } from './index-members.ts';
import type { LivePointer } from './live-pointer.ts';
import { rebuildIndex } from './rebuild-index.ts';

export interface HousekeepingDeps {
  /** Direct, without a statement timeout. */
  readonly pool: Pool;
  /** A `background` connection. */
  readonly redis: Redis;
  readonly keys: Keys;
  readonly keep: number;
  readonly erased: ErasedSubscribers;
  readonly erasureSecret: string | undefined;
  readonly pointer: LivePointer;
  readonly logger: Logger;
}

export interface Housekeeping {
  /** Looks whether Redis has the live generation, writes it where it has not, and removes generations that may go. One at a time; never rejects. */
  check(): Promise<void>;
  /** Fills an index that is absent or short, in the background. */
  repairIndex(name: IndexName, pointer: Pointer): void;
}

/** The hash of counts is written last: where it is, the generation was written to its end. */
async function isGenerationThere({ redis, keys }: HousekeepingDeps, pointer: Pointer): Promise<boolean> {
  return pointer.redis === 0 || (await redis.exists(keys.subscribers(pointer.redis).stats)) === 1;
}

async function repair(deps: HousekeepingDeps): Promise<void> {
  const pointer = await readPointer(deps.pool);
  const stale = pointer.redis > 0 ? await stalePointers(deps.redis, deps.keys, pointer) : 0;
  // What has lost a copy of the pointer has lost more: on Cluster a node that came back empty.
  if (!(await isGenerationThere(deps, pointer)) || (stale > 0 && (await lostPointers(deps.redis, deps.keys)) > 0)) {
    deps.logger.warn({ generation: pointer.redis }, 'redis lost the live generation, it is written again');
    const { pointer: repaired } = await verifyGenerations({ ...deps, repair: true });
    await deps.pointer.refresh();
    deps.logger.info({ generation: repaired.redis }, 'the live generation is there again');
    return;
  }
  if (stale > 0) await publishPointer(deps.redis, deps.keys, pointer);
}

/** What an erasure could not do because Redis was away, a load was running, or it was killed. */
async function finishErasures({ logger, ...deps }: HousekeepingDeps): Promise<void> {
  if (!(await hasOpenErasures(deps.pool))) return;
  const done = await underLoadLock(deps.pool, (client) => completeErasures(client, deps), { waitMs: 100, name: 'ut360-lookup' });
  logger.info({ subscribers: done }, 'finished erasing subscribers');
}

/** What an instance does behind its answers. Any number of instances may: the lock of loads lets one of them. */
export function createHousekeeping(deps: HousekeepingDeps): Housekeeping {
  const { pool, keep, erased, pointer: live, logger } = deps;
  let running: Promise<void> | undefined;
  const indexes = new Map<string, Promise<void>>();
  const work = async (): Promise<void> => {
    try {
      await erased.refresh();
      await live.refresh();
      await finishErasures(deps);
      await repair(deps);
      if ((await findSpareSets(pool, keep)).length === 0) return;
      const removed = await underLoadLock(pool, (client) => pruneGenerations(client, { ...deps, keep }), { waitMs: 100, name: 'ut360-lookup' });
      if (removed.length > 0) logger.info({ generations: removed }, 'removed old generations');
    } catch (err) {
      // A load is running: it does all of this itself.
      if (err instanceof ErasureSecretError) logger.error({ err }, 'it cannot be told who was erased');
      else if (!(err instanceof LoadNotPossibleError)) logger.warn({ err }, 'generations could not be checked, it will be tried again');
    }
  };
  return {
    check: () => (running ??= work().finally(() => { running = undefined; })),
    repairIndex(name, pointer) {
      const key = `${pointer.redis}:${name.kind}:${name.value}`;
      if (indexes.has(key)) return;
      const rebuilt = rebuildIndex({ ...deps, isErased: erased.has }, pointer, name)
        .then((members) => logger.info({ kind: name.kind, members }, 'an index that was absent or short was filled again'))
        .catch((err: unknown) => logger.warn({ err, kind: name.kind }, 'an index could not be filled, it will be tried again'))
        .finally(() => indexes.delete(key));
      indexes.set(key, rebuilt);
    },
  };
}
