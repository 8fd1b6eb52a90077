import { infoOfMasters } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';

export interface MemoryRoom {
  /** Below 85 % of maxmemory: new events may go in. */
  hasRoom(): boolean;
  /** Below 80 %: what was deferred may follow. */
  hasRoomForMore(): boolean;
  close(): void;
}

const FULL = 0.85;
const EASY = 0.8;
const EVERY_MS = 1_000;

/** The fullest master, asked once a second; the last answer holds while Redis is away. Without a maxmemory there is always room. */
export function watchMemoryRoom(redis: Redis): MemoryRoom {
  let share = 0;
  const look = async (): Promise<void> => {
    const masters = await infoOfMasters(redis, ['used_memory', 'maxmemory']).catch(() => []); // away: the writes say so
    if (masters.length > 0) share = Math.max(...masters.map(([used, bound]) => (Number(bound ?? 0) > 0 ? Number(used ?? 0) / Number(bound) : 0)));
  };
  void look();
  const timer = setInterval(() => void look(), EVERY_MS);
  return { hasRoom: () => share < FULL, hasRoomForMore: () => share < EASY, close: () => clearInterval(timer) };
}
