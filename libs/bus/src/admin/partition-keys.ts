import type { Keys, TopicKeys } from '@millrace/redis-kit';

/** A partition by itself, whatever the topic's number of them is: the stream with the topic's own name, or a numbered one. */
export type PartitionName = 'bare' | number;

export const partitionKeys = (keys: Keys, topic: string, name: PartitionName): TopicKeys => (name === 'bare' ? keys.topic(topic) : keys.topic(topic, name, 2));
