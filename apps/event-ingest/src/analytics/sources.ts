import type { AnalyticsKeys, Keys, Redis } from '@millrace/redis-kit';

/** One partition of a topic that is counted. */
export interface Source {
  readonly topic: string;
  readonly partition: number;
  /** `<topic>:<partition>` */
  readonly name: string;
  readonly keys: AnalyticsKeys;
}

/** What has counts in Redis: partitions of today and, after a repartitioning, those of before. */
export interface Sources {
  /** Told before the first count of one is written. */
  add(topic: string, partition: number): Promise<Source>;
  list(): Promise<readonly Source[]>;
}

/** A flush of Redis is noticed after so long. */
const REMEMBER_MS = 5_000;

export function createSources(redis: Redis, keys: Keys, now: () => number = Date.now): Sources {
  const added = new Map<string, number>();
  const sourceOf = (topic: string, partition: number): Source => ({ topic, partition, name: `${topic}:${partition}`, keys: keys.analytics(topic, partition) });
  return {
    async add(topic, partition) {
      const source = sourceOf(topic, partition);
      if (now() - (added.get(source.name) ?? Number.NEGATIVE_INFINITY) >= REMEMBER_MS) await redis.sadd(keys.analyticsSources, source.name);
      added.set(source.name, now());
      return source;
    },
    async list() {
      return (await redis.smembers(keys.analyticsSources)).toSorted().map((name) => {
        const colon = name.lastIndexOf(':');
        return sourceOf(name.slice(0, colon), Number(name.slice(colon + 1)));
      });
    },
  };
}
