import { isClusterUrl } from './url.ts';

/**
 * The one place where names of Redis keys are made (ARCHITECTURE, "Redis, three roles, and keys"). On a single instance the
 * stream of a topic with one partition is its bare name; with `cluster`, or with partitions, every name carries the hash tag
 * that keeps the keys of one script together.
 */
export interface KeyOptions {
  readonly cluster?: boolean;
}

/** A topic's stream and its side keys: they all begin with the stream's name, so that one script may touch them on Cluster too. */
export interface TopicKeys {
  readonly stream: string;
  /** The relay's fence: an append is refused unless it holds the expected epoch. */
  readonly epoch: string;
  /** Dead letters of one group. */
  deadLetters(group: string): string;
  /** Hash of entry id -> when it was first handled by itself, for entries that failed. */
  attempts(group: string): string;
  /** Marker: the group's consumers have read the export since the group was created. */
  bootstrapped(group: string): string;
  /** Lock of the consumer that is reading the export. */
  bootstrapping(group: string): string;
  /** Sorted set of entries that are to be tried again: member -> when. */
  delayed(group: string): string;
  /** Who may read this partition for the group, and until when. */
  lease(group: string): string;
  /** Number that grows with every holder of the lease: a write of an older holder is refused. */
  fence(group: string): string;
  /** Members of the group, among whom the partitions are divided. */
  members(group: string): string;
  /** How far the groups have come. */
  readonly progress: string;
  /** Id of the layout (see libs/bus) whose publishers may append to this partition; "closed" where nothing may be appended any more. */
  readonly layout: string;
  /** Ids of the events that were appended last, to drop one that is sent twice. */
  readonly recentIds: string;
  /** How many erasures of users whoever appends must know of. */
  readonly erased: string;
}

export interface UserKeys {
  readonly recentItems: string;
  readonly recentCategories: string;
  readonly lastActive: string;
  readonly recentPurchases: string;
  /** The id that this one was merged into. */
  readonly mergedInto: string;
}

export interface AnalyticsKeys {
  /** Stream id of the last event that is counted. */
  readonly applied: string;
  /** What is being counted now: hash of counts, and `id`. */
  readonly pending: string;
  /** What is on its way to Postgres: the same, and `sealed_at`. Nothing is added to it. */
  readonly sealed: string;
  /** HyperLogLog of the users of a UTC day (YYYY-MM-DD). */
  users(day: string): string;
}

export interface Keys {
  /**
   * Keys of one partition. The bare name is only for the one partition of a topic on a single instance: where there are more,
   * or on Cluster, each one (0 too) is `<topic>:{<topic>:<partition>}`, so a topic that is given partitions begins new streams.
   */
  topic(topic: string, partition?: number, partitions?: number): TopicKeys;
  /** Number of partitions; read by itself, never in a script together with the stream. */
  topicMeta(topic: string): string;
  user(id: string): UserKeys;
  /** Sync tracker of a search index: hash sku -> version. */
  syncTracker(index: string): string;
  /** How fresh a derived store is, as its sink says: hash. */
  freshness(store: string): string;
  /** Beginning of the keys of one partition's recommendation counts; with its hash tag everywhere, so that the counts of partitions never meet in one script. */
  counts(partition: number): string;
  /** Set of the partitions that have counts; read by itself. */
  readonly countPartitions: string;
  /** Counts by time of what one partition of a topic brought, since the last roll-up. One hash tag for all of a partition's keys, everywhere. */
  analytics(topic: string, partition: number): AnalyticsKeys;
  /** Set of `<topic>:<partition>` that have such counts; read by itself. */
  readonly analyticsSources: string;
  /** BullMQ's `prefix` option. */
  readonly jobsPrefix: string;
}

const topicKeys = (stream: string): TopicKeys => ({
  stream,
  epoch: `${stream}:epoch`,
  deadLetters: (group) => `${stream}:dlq:${group}`,
  attempts: (group) => `${stream}:attempts:${group}`,
  bootstrapped: (group) => `${stream}:bootstrapped:${group}`,
  bootstrapping: (group) => `${stream}:bootstrapping:${group}`,
  delayed: (group) => `${stream}:delayed:${group}`,
  lease: (group) => `${stream}:lease:${group}`,
  fence: (group) => `${stream}:fence:${group}`,
  members: (group) => `${stream}:members:${group}`,
  progress: `${stream}:progress`,
  layout: `${stream}:layout`,
  recentIds: `${stream}:ids`,
  erased: `${stream}:erased`,
});

export function createKeys({ cluster = false }: KeyOptions = {}): Keys {
  return {
    topic(topic, partition = 0, partitions = 1) {
      const isTagged = cluster || partition > 0 || partitions > 1;
      return topicKeys(isTagged ? `${topic}:{${topic}:${partition}}` : topic);
    },
    topicMeta: (topic) => `${topic}:meta`,
    user(id) {
      const prefix = cluster ? `user:{${id}}` : `user:${id}`;
      return {
        recentItems: `${prefix}:recent_items`, recentCategories: `${prefix}:recent_categories`, lastActive: `${prefix}:last_active`,
        recentPurchases: `${prefix}:recent_purchases`, mergedInto: `${prefix}:merged_into`,
      };
    },
    syncTracker: (index) => `sync:${index}`,
    freshness: (store) => `freshness:${store}`,
    counts: (partition) => `recs:{recs:${partition}}`,
    countPartitions: 'recs:partitions',
    analytics(topic, partition) {
      const prefix = `analytics:{analytics:${topic}:${partition}}`;
      return { applied: `${prefix}:applied`, pending: `${prefix}:pending`, sealed: `${prefix}:sealed`, users: (day) => `${prefix}:users:${day}` };
    },
    analyticsSources: 'analytics:sources',
    jobsPrefix: cluster ? '{bull}' : 'bull',
  };
}

/** The keys of the server or cluster that a URL leads to. */
export const keysFor = (url: string): Keys => createKeys({ cluster: isClusterUrl(url) });
