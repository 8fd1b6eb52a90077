import type { BusAdmin } from './admin/bus-admin.ts';
import type { EventBus } from './bus.ts';
import type { WireEvent } from './codec.ts';
import type { StreamEnds } from './redis/ends.ts';
import type { EraseEntriesOptions, ErasedEntries } from './redis/erase-entries.ts';
import type { GroupLag } from './redis/lag.ts';
import type { Layout } from './redis/layout.ts';
import type { TrimOptions } from './redis/trim.ts';
import type { Topic } from './topic.ts';

/** What an engine cannot do is declared here, so that it is known before it is missed. */
export interface EngineFeatures {
  readonly engine: 'redis' | 'nats' | 'postgres';
  /** A topic may have several partitions, and another number of them later. Without it every topic has one. */
  readonly partitions: boolean;
  /** What a killed consumer held comes back at once when it starts again under its name; else after `claimIdleMs`, as for everybody. */
  readonly ownAtRestart: boolean;
  /** A dead letter is written and its entry acknowledged in one step; else a crash in between repeats the step, and the letter is there once all the same. */
  readonly atomicPark: boolean;
  /** Appending and the live context are one script on the broker; else the event is appended and acknowledged first, and the context follows. */
  readonly atomicContext: boolean;
  /** Trimming passes over groups that stand still also where memory is short; else only by time. */
  readonly memoryPressure: boolean;
}

/** Where a topic is and how far groups are: what rebuilds wait for. */
export interface BusPositions {
  /** Where its events are; one partition for a topic that is not there yet. */
  layout(topic: Topic): Promise<Layout>;
  /** Where the topic ends now: whatever is appended after this call has started has a later id, or is in a stream that is not named. */
  ends(topic: Topic): Promise<StreamEnds>;
  /** Has the group acknowledged (or parked) every entry up to these ends of one topic? A stream that is gone has nothing left to wait for; a group that does not exist has passed nothing. */
  hasPassed(group: string, ends: StreamEnds): Promise<boolean>;
}

/** A bus with what its owners and operators need: each engine has all of it. */
export interface ManagedBus extends EventBus, BusPositions {
  readonly features: EngineFeatures;
  /** For the outbox relay; undefined on Redis. */
  readonly durable: (DurablePublisher & { readonly engine: string }) | undefined;
  /** How far a group is behind, over all partitions. */
  lag(topic: Topic, group: string): Promise<GroupLag>;
  /**
   * Removes entries that every group has acknowledged, oldest first, while more than `keep` are left. Returns how many went. A group that can
   * bootstrap and stands still is passed over (I7): it reads the export again before its next event. Also cuts dead letters to 30 days and
   * removes partitions that have been drained. For the topic's owner, on a schedule.
   */
  trimAcknowledged(topic: Topic, options: TrimOptions): Promise<number>;
  /** Removes entries once every group has acknowledged them; tells how many are still due. Safe to repeat, and beside consumers. */
  eraseEntries(options: EraseEntriesOptions): Promise<ErasedEntries>;
  /** Removes dead letters of a topic, of its groups (those that are there and the given ones); returns how many. */
  eraseDeadLetters(options: Pick<EraseEntriesOptions, 'topic' | 'isTheirs'> & { readonly groups: readonly string[] }): Promise<number>;
  /** The tools over these topics. */
  admin(topics: readonly Topic[]): BusAdmin;
  /** Rejects, within about a second, where the broker does not answer. */
  ping(): Promise<void>;
}

export interface AppendOptions {
  /** Nothing more is sent once it has aborted; what is on its way by then may still be appended. */
  readonly signal?: AbortSignal | undefined;
}

/** A broker that keeps what it has acknowledged: the outbox relay appends to it without fences. Not Redis, whose streams the relay guards itself. */
export interface DurablePublisher {
  /** Appends all events in order and resolves with the number of the last one once the broker has acknowledged all of them; rejects where it may have fewer. */
  append(topic: Topic, events: readonly WireEvent[], options?: AppendOptions): Promise<number>;
  /** Number of the last entry that the topic was ever given, rising by one with each; 0 for none. */
  lastNumber(topic: Topic): Promise<number>;
}
