import { infoOfMasters } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';

const LOOK_EVERY_MS = 500;

/** Is every server of Redis below this share of its maxmemory? Looks twice a second at most; without a maxmemory there is always room. */
export function createRoomCheck(redis: Redis, maxShare: number): () => Promise<boolean> {
  let lookedAtMs = Number.NEGATIVE_INFINITY;
  let hasRoom = true;
  return async () => {
    if (performance.now() - lookedAtMs < LOOK_EVERY_MS) return hasRoom;
    const masters = await infoOfMasters(redis, ['used_memory', 'maxmemory']);
    hasRoom = masters.every(([used, bound]) => Number(bound ?? 0) === 0 || Number(used ?? 0) < maxShare * Number(bound));
    lookedAtMs = performance.now();
    return hasRoom;
  };
}
