import type { LeaseTable } from '../assignment.ts';
import type { GroupState, KeyTrace } from '../admin/bus-admin.ts';
import type { LetterStore } from '../admin/dead-letters.ts';
import type { RawEntry, WireEvent } from '../codec.ts';
import type { GroupLog } from '../group-log.ts';
import type { AppendOptions, EngineFeatures } from '../managed-bus.ts';
import type { EraseEntriesOptions, ErasedEntries } from '../redis/erase-entries.ts';
import type { GroupLag } from '../redis/lag.ts';
import type { Topic } from '../topic.ts';

/** One consumer of one group of a topic. */
export interface LogOf {
  readonly topic: Topic;
  readonly group: string;
  readonly consumer: string;
  readonly canBootstrap: boolean;
  /** Milliseconds after which entries that a consumer has not touched are another's. */
  readonly claimIdleMs: number;
  /** The consumer's lease of the topic: what it does with another's is refused. Undefined where the group's consumers compete. */
  readonly fencingToken?: number | undefined;
}

export interface LeasesOf {
  readonly topic: Topic;
  readonly group: string;
  readonly member: string;
  readonly leaseMs: number;
}

/** An entry and its number: rising by one with each entry that a topic was ever given. */
export interface NumberedEntry {
  readonly number: number;
  readonly entry: RawEntry;
}

/** A topic read from its end, by nobody's group. */
export interface TailLog {
  /** Number of the newest entry that the topic was ever given; 0 for none. */
  tail(): Promise<number>;
  /** Entries behind `after`, in order, waiting up to `blockMs` for the first. */
  read(after: number, count: number, blockMs: number): Promise<readonly NumberedEntry[]>;
  /** Ends a waiting read. */
  interrupt(): void;
  /** True once after the connection was lost. */
  takeReconnected(): boolean;
  close(): Promise<void>;
}

export interface TopicInfo {
  readonly stream: string;
  readonly length: number;
  readonly bytes: number;
  readonly firstId: string | undefined;
  readonly lastId: string | undefined;
  readonly groups: readonly GroupState[];
}

export interface TrimLimits {
  readonly keep: number;
  readonly stalledMs: number;
}

export interface Trimmed {
  readonly removed: number;
  /** Groups that were passed over now. */
  readonly passedOver: readonly string[];
  /** Dead letters that were too old, by group. */
  readonly dropped: Readonly<Record<string, number>>;
}

/**
 * What a broker other than Redis has to know: one partition a topic, entries numbered without gaps, groups with a place of their own. The policy, the same
 * for every engine, is in consumer.ts and assignment.ts; createEngineBus makes a bus of both.
 */
export interface Engine {
  readonly features: EngineFeatures;
  /** What the broker is called in messages: "NATS". */
  readonly broker: string;
  /** Appends in order. Resolves with the last number once the broker has all of them; rejects where it may have fewer. */
  append(topic: Topic, events: readonly WireEvent[], options?: AppendOptions): Promise<number>;
  /** `<ms>-<number>` of the last entry that the topic was ever given; "0-0" for none. */
  lastId(topic: Topic): Promise<string>;
  /** Makes the group, at the start of the topic, where it is not there. */
  register(topic: Topic, group: string, canBootstrap: boolean): Promise<boolean>;
  openLog(of: LogOf): GroupLog;
  openLeases(of: LeasesOf): LeaseTable;
  openTail(topic: Topic): TailLog;
  lag(topic: Topic, group: string): Promise<GroupLag>;
  trim(topic: Topic, limits: TrimLimits): Promise<Trimmed>;
  /** Has the group acknowledged everything up to this id? */
  hasPassed(topic: string, group: string, id: string): Promise<boolean>;
  erase(options: EraseEntriesOptions): Promise<ErasedEntries>;
  describe(topic: Topic): Promise<TopicInfo>;
  /** The last entries of a key, newest first. */
  trace(topic: Topic, key: string, limit: number): Promise<KeyTrace>;
  /** With its dead letters, whoever uses it. */
  dropGroup(topic: Topic, group: string): Promise<void>;
  readonly letters: LetterStore;
  ping(): Promise<void>;
  close(): Promise<void>;
}

/** The broker is there and will not work as it is configured: rights, a wrong address, a feature that is switched off. Somebody must act. */
export class BusSetupError extends Error {
  override readonly name = 'BusSetupError';
  readonly code = 'bus_setup';
}
