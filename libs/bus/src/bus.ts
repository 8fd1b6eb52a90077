import type { EventOf, NewEventOf, Topic } from './topic.ts';

/** How a batch came: for handlers that guard their effects. */
export interface Delivery {
  /** Aborted when the events have become another consumer's (the partition's lease is lost): whatever is still done is done twice. */
  readonly signal: AbortSignal;
  readonly partition: number;
  /** Of the partition's lease; rises with each new holder. A sink that refuses smaller ones is safe from a consumer that stood still. Undefined without leases. */
  readonly fencingToken?: number;
}

/** Middleware is a function BatchHandler -> BatchHandler. `delivery` is there whenever a group's handler is called by a bus; broadcast, and tests that call a handler by hand, leave it out. */
export type BatchHandler<E> = (events: readonly E[], delivery?: Delivery) => Promise<void>;

export interface EventPublisher {
  /** Appends the events in order. Resolves once the broker has all of them; rejects when it may have fewer. */
  publish<T extends Topic>(topic: T, events: readonly NewEventOf<T>[]): Promise<void>;
}

export type Ordering = 'none' | 'key' | 'partition';

export interface GroupOptions {
  readonly mode?: 'group';
  /** Every group gets every event; inside a group one consumer does. A new group starts at the beginning of the stream. */
  readonly group: string;
  /** Stable per replica (host name by default), so that a restart finds its own pending entries. */
  readonly consumer?: string;
  /**
   * `none`: the group's consumers share the events, a retry overtakes; for sinks that are guarded by version or event id. `key`: the events
   * of one key are handled one after the other, in the order of the topic, whatever fails, restarts or scales: one consumer a partition, and
   * an event that fails holds back the later ones of its key. `partition`: the same for all events of a partition, whatever their keys: for a
   * handler that keeps how far it is (a stream id) instead of what it has done. Default none.
   */
  readonly ordering?: Ordering;
  /** Ends the subscription as `close` does. */
  readonly signal?: AbortSignal;
  readonly batchSize?: number;
  readonly blockMs?: number;
  /** A heartbeat was acknowledged: this consumer has handled what was before it on its partition. `timestamp`: when it was committed, ISO 8601. */
  onHeartbeat?(timestamp: string): void;
  /** Awaited before the first event whenever the group had to be created (also after a flush of Redis): the place to read the export (I5). */
  onGroupCreated?(): Promise<void>;
}

export interface BroadcastOptions {
  readonly mode: 'broadcast';
  /** Ends the subscription as `close` does. */
  readonly signal?: AbortSignal;
  readonly batchSize?: number;
  readonly blockMs?: number;
  /**
   * Events may have been missed (trimmed, flushed, or the first connection): flush what was derived from them. Never called while it runs: gaps of other
   * partitions meanwhile share one more call.
   */
  onGap?(): Promise<void>;
}

export interface Subscription {
  /** Finishes the batch in hand, acknowledges it, and strands nothing. */
  close(): Promise<void>;
}

/** For the adapters. */
export function closeOnAbort(subscription: Subscription, signal: AbortSignal | undefined): void {
  const close = (): void => void subscription.close();
  if (signal?.aborted === true) close();
  else signal?.addEventListener('abort', close, { once: true });
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
