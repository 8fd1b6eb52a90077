import type { Redis } from '@millrace/redis-kit';
import type { Building } from './building.ts';
import { createChangeSums, planEvents, readHistory } from './count-changes.ts';
import { decodeTailEvent } from './tail-event.ts';
import { applyUserChange } from './user-counts.ts';

export interface CaughtUp { readonly tail: number; readonly userChanges: number }

export interface CatchUp {
  readonly redis: Redis;
  readonly build: Building;
  readonly from: CaughtUp;
  /** By event id: the export had it. */
  readonly isCounted: (id: string) => boolean;
  readonly ttlSeconds: number;
}

const BATCH = 500;

/** Brings what was counted and changed meanwhile into the new generation; how much of it there is then. */
export async function catchUp({ redis, build, from, isCounted, ttlSeconds }: CatchUp): Promise<CaughtUp> {
  let { tail, userChanges } = from;
  // Only changes that are older than all events to come: whoever was forgotten stays forgotten.
  const known = await redis.llen(build.keys.userChanges);
  for (;;) {
    const texts = await redis.lrange(build.keys.tail, tail, tail + BATCH - 1);
    if (texts.length === 0) break;
    const events = texts.map(decodeTailEvent).filter(({ id }) => !isCounted(id)).map(({ event }) => event);
    const users = [...new Set(events.map(({ userId }) => userId))];
    const histories = users.length === 0 ? [] : await redis.mget(...users.map((id) => build.target.user(id)));
    const sums = createChangeSums(build.target);
    planEvents(sums, events, { before: new Map(users.map((id, at) => [id, readHistory(histories[at] ?? null)])), ttlSecondsAt: () => ttlSeconds });
    await build.write(sums.take());
    tail += texts.length;
  }
  if (known > userChanges)
    for (const text of await redis.lrange(build.keys.userChanges, userChanges, known - 1)) {
      await applyUserChange({ redis, of: build.target, ttlSeconds }, text);
      userChanges += 1;
    }
  return { tail, userChanges };
}
