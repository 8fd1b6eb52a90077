import { asFields, asList, asText, asTexts } from '@millrace/redis-kit';
import type { Keys, Redis } from '@millrace/redis-kit';

export interface RecentItem {
  readonly asin: string;
  /** Of its newest event, milliseconds since 1970. */
  readonly at: number;
}

/** What a user did in the last minutes. Empty where nothing is known. */
export interface UserContext {
  /** The id that counts: another one than asked for where that was merged. */
  readonly userId: string;
  /** Newest first, each once, at most 20. */
  readonly recentItems: readonly RecentItem[];
  /** The same of purchases. */
  readonly recentPurchases: readonly RecentItem[];
  /** Events by category, at most 50 categories, most first. */
  readonly recentCategories: ReadonlyMap<string, number>;
  /** Milliseconds since 1970. */
  readonly lastActive: number | undefined;
}

/** Merges are not chained (see setMergedInto); one hop more for one that came in between. */
const MAX_HOPS = 2;

/** One round trip; another one where the user was merged into another. Rejects where Redis does not answer: the caller's connection bounds the time. */
export async function readContext(redis: Redis, keys: Keys, userId: string): Promise<UserContext> {
  let id = userId;
  for (let hop = 0; ; hop += 1) {
    const { context, mergedInto } = await readOne(redis, keys, id);
    if (mergedInto === undefined || hop === MAX_HOPS) return context;
    id = mergedInto;
  }
}

/** Of this very id. */
export async function readOne(redis: Redis, keys: Keys, userId: string): Promise<{ readonly context: UserContext; readonly mergedInto: string | undefined }> {
  const of = keys.user(userId);
  const replies = await redis
    .pipeline()
    .call('ZRANGE', of.recentItems, '0', '-1', 'REV', 'WITHSCORES')
    .call('ZRANGE', of.recentPurchases, '0', '-1', 'REV', 'WITHSCORES')
    .call('HGETALL', of.recentCategories)
    .get(of.lastActive)
    .get(of.mergedInto)
    .exec();
  const [items, purchases, categories, lastActive, mergedInto] = (replies ?? []).map(([error, reply]) => {
    if (error) throw error;
    return reply;
  });
  const counts = [...asFields(categories)].map(([name, count]): [string, number] => [name, Number(asText(count))]);
  return {
    context: {
      userId,
      recentItems: toItems(items),
      recentPurchases: toItems(purchases),
      recentCategories: new Map(counts.toSorted(([, a], [, b]) => b - a)),
      lastActive: lastActive == null ? undefined : Number(asText(lastActive)),
    },
    mergedInto: mergedInto == null ? undefined : asText(mergedInto),
  };
}

function toItems(reply: unknown): readonly RecentItem[] {
  const flat = asTexts(asList(reply));
  return Array.from({ length: flat.length / 2 }, (_, index) => ({ asin: flat[2 * index] ?? '', at: Number(flat[2 * index + 1]) }));
}
