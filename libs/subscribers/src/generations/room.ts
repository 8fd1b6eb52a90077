import { infoOfMasters } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';
import { LoadNotPossibleError } from '../errors.ts';

const MiB = 1_048_576;
/** Share of maxmemory that stays free for buffers of replicas, fills and negative entries. */
const RESERVE = 0.03;

/** Bytes that may still be written, over all masters; undefined where a server has no limit of its own. */
export async function freeBytes(redis: Redis): Promise<number | undefined> {
  const masters = await infoOfMasters(redis, ['used_memory', 'maxmemory']);
  const free = masters.map(([used, max]) => (Number(max ?? 0) === 0 ? Infinity : Number(max) * (1 - RESERVE) - Number(used ?? 0)));
  // Subscribers are spread evenly, so the fullest node decides.
  const least = Math.min(...free);
  return Number.isFinite(least) ? Math.max(0, least * masters.length) : undefined;
}

/** Rejects with LoadNotPossibleError unless so many bytes more fit. */
export async function requireRoom(redis: Redis, bytes: number): Promise<void> {
  const free = await freeBytes(redis);
  if (free === undefined || bytes <= free) return;
  throw new LoadNotPossibleError(`Redis (UT360_REDIS_URL) has no room for one more generation: it needs about ${Math.ceil(bytes / MiB)} MiB, ${Math.floor(free / MiB)} MiB are free: raise maxmemory to have room for two generations. Nothing was changed`);
}
