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
  /** Told before counts of one are written. */
  add(topic: string, partition: number): Promise<Source>;
  list(): Promise<readonly Source[]>;
}

export function createSources(redis: Redis, keys: Keys): Sources {
  const added = new Set<string>();
  const sourceOf = (topic: string, partition: number): Source => ({ topic, partition, name: `${topic}:${partition}`, keys: keys.analytics(topic, partition) });
  return {
    async add(topic, partition) {
      const source = sourceOf(topic, partition);
      // Each time: a flush may have taken it out.
      await redis.sadd(keys.analyticsSources, source.name);
      added.add(source.name);
      return source;
    },
    async list() {
      return [...new Set([...(await redis.smembers(keys.analyticsSources)), ...added])].toSorted().map((name) => {
        const colon = name.lastIndexOf(':');
        return sourceOf(name.slice(0, colon), Number(name.slice(colon + 1)));
      });
    },
  };
}
