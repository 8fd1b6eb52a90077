import type { EventOf, NewEventOf, Topic } from './topic.ts';

/** Middleware is a function BatchHandler -> BatchHandler. */
export type BatchHandler<E> = (events: readonly E[]) => Promise<void>;

export interface EventPublisher {
  /** Appends the events in order, in one round trip. Resolves once the broker has all of them; rejects when it may have fewer. */
  publish<T extends Topic>(topic: T, events: readonly NewEventOf<T>[]): Promise<void>;
}

export interface GroupOptions {
  readonly mode?: 'group';
  /** Every group gets every event; inside a group one consumer does. A new group starts at the beginning of the stream. */
  readonly group: string;
  /** Stable per replica (host name by default), so that a restart finds its own pending entries. */
  readonly consumer?: string;
  readonly batchSize?: number;
  readonly blockMs?: number;
  /** Awaited before the first event whenever the group had to be created (also after a flush of Redis): the place to read the export (I5). */
  onGroupCreated?(): Promise<void>;
}

export interface BroadcastOptions {
  readonly mode: 'broadcast';
  readonly batchSize?: number;
  readonly blockMs?: number;
  /** Events may have been missed (trimmed, flushed, or the first connection): flush what was derived from them. */
  onGap?(): Promise<void>;
}

export interface Subscription {
  /** Finishes the batch in hand, acknowledges it, and strands nothing. */
  close(): Promise<void>;
}

export interface EventSubscriber {
  /**
   * Group mode: delivers every event of the topic to one consumer of each group, at least once; a batch is acknowledged when
   * the handler resolves and delivered again when it rejects. Broadcast mode: delivers to every instance from now on, at most once.
   */
  subscribe<T extends Topic>(topic: T, options: GroupOptions | BroadcastOptions, handle: BatchHandler<EventOf<T>>): Promise<Subscription>;
}

export interface EventBus extends EventPublisher, EventSubscriber {
  /** Closes all subscriptions, then the connections. */
  close(): Promise<void>;
}
