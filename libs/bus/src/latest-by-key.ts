import type { EventOf, Topic } from './topic.ts';

/**
 * The last event of each key: by version where the topic has versions (so a shuffled batch gives the same), else by position.
 * For sinks that store whole states; the kept events stay in the order of their batch.
 */
export function latestByKey<T extends Topic>(topic: T, events: readonly EventOf<T>[]): EventOf<T>[] {
  const { options } = topic;
  const isNewer = (kept: EventOf<T>, event: EventOf<T>): boolean => options.versionOf !== undefined && options.versionOf(kept) > options.versionOf(event);
  const latest = new Map<string, EventOf<T>>();
  for (const event of events) {
    const key = options.keyOf(event);
    const kept = latest.get(key);
    if (kept && isNewer(kept, event)) continue;
    latest.delete(key);
    latest.set(key, event);
  }
  return [...latest.values()];
}
