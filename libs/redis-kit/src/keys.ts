/**
 * The one place where names of Redis keys are made (ARCHITECTURE, "Redis, three roles, and keys"). On a single instance a
 * topic's stream is its bare name; with `cluster` every name carries the hash tag that keeps the keys of one script together.
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
}

export interface UserKeys {
  readonly recentItems: string;
  readonly recentCategories: string;
  readonly lastActive: string;
}

export interface Keys {
  topic(topic: string, partition?: number): TopicKeys;
  /** Number of partitions; read by itself, never in a script together with the stream. */
  topicMeta(topic: string): string;
  user(id: string): UserKeys;
  /** Sync tracker of a search index: hash sku -> version. */
  syncTracker(index: string): string;
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
});

export function createKeys({ cluster = false }: KeyOptions = {}): Keys {
  return {
    topic(topic, partition = 0) {
      const stream = cluster || partition > 0 ? `${topic}:{${topic}:${partition}}` : topic;
      return topicKeys(stream);
    },
    topicMeta: (topic) => `${topic}:meta`,
    user(id) {
      const prefix = cluster ? `user:{${id}}` : `user:${id}`;
      return { recentItems: `${prefix}:recent_items`, recentCategories: `${prefix}:recent_categories`, lastActive: `${prefix}:last_active` };
    },
    syncTracker: (index) => `sync:${index}`,
    jobsPrefix: cluster ? '{bull}' : 'bull',
  };
}
