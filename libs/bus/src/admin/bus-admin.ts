/** The state of one group on one stream. */
export interface GroupState {
  readonly group: string;
  /** Read and not acknowledged, by any consumer; those that are put off are among them. */
  readonly pending: number;
  readonly unread: number;
  readonly delayed: number;
  readonly oldestAgeMs: number;
  readonly deadLetters: number;
  /** `bootstrapping`: a consumer reads the export now; `needs-bootstrap`: it is new, or was passed over by trimming; `none`: the group cannot bootstrap. */
  readonly bootstrap: 'none' | 'done' | 'needs-bootstrap' | 'bootstrapping';
  /** Who holds the partition; undefined where the group's consumers compete. */
  readonly holder: string | undefined;
  readonly consumers: readonly { readonly consumer: string; readonly pending: number; readonly idleMs: number }[];
}

export interface StreamState {
  readonly stream: string;
  /** The topic's number for it. */
  readonly partition: number;
  /** Nothing is appended any more; it goes when every group has finished it. */
  readonly isDraining: boolean;
  readonly length: number;
  /** In Redis' memory, estimated by a sample (MEMORY USAGE). */
  readonly bytes: number;
  readonly firstId: string | undefined;
  readonly lastId: string | undefined;
  readonly groups: readonly GroupState[];
}

export interface TopicState {
  readonly topic: string;
  readonly partitions: number;
  readonly streams: readonly StreamState[];
}

export interface DroppedGroup {
  readonly topic: string;
  readonly group: string;
  readonly pending: number;
  readonly unread: number;
}

/** One entry that a group could not handle. */
export interface DeadLetterState {
  /** `<topic>~<partition>~<group>~<entry id>`, the partition "bare" where the stream has the topic's own name: safe in a URL's path. */
  readonly id: string;
  readonly topic: string;
  readonly partition: number;
  readonly group: string;
  readonly reason: string;
  readonly sourceId: string;
  readonly consumer: string;
  readonly attempts: number;
  /** ISO 8601. */
  readonly firstSeen: string;
  readonly lastSeen: string;
  readonly eventType: string | undefined;
  /** The event's own id, which a replay keeps. */
  readonly eventId: string | undefined;
  /** The ordering key; masked where the topic is personal (I11). */
  readonly key: string | undefined;
}

export interface DeadLetterDetail extends DeadLetterState {
  /** The entry's own fields as they were on the stream; `data` and the key are masked where the topic is personal. */
  readonly fields: Readonly<Record<string, string>>;
}

/** All given conditions must hold. */
export interface DeadLetterFilter {
  readonly topic?: string;
  readonly group?: string;
  /** Part of the reason, whatever its case. */
  readonly reason?: string;
  /** The ordering key, whole. Finds nothing on personal topics, whose keys are masked. */
  readonly key?: string;
  /** When it was parked, ISO 8601: from here on, and before. */
  readonly since?: string;
  readonly until?: string;
}

export interface DeadLetterPage {
  readonly items: readonly DeadLetterState[];
  readonly nextCursor: string | undefined;
}

/** What to replay or to discard: named ones, or all that match. */
export type DeadLetterChoice = { readonly ids: readonly string[] } | { readonly filter: DeadLetterFilter };

export interface ChangedDeadLetters {
  /** How many were (or, in a dry run, would be) replayed or discarded. */
  readonly count: number;
  /** Named ones that are not there (any more). */
  readonly missing: readonly string[];
}

/** What a group has done with an entry. `delayed`: it failed and is put off; parked entries are acknowledged and among the dead letters. */
export interface TracedState {
  readonly group: string;
  readonly state: 'unread' | 'pending' | 'delayed' | 'acknowledged';
  /** Who holds it, and since when nobody touched it. */
  readonly consumer: string | undefined;
  readonly idleMs: number | undefined;
}

export interface TracedEntry {
  readonly id: string;
  readonly eventType: string;
  readonly eventId: string;
  readonly version: number | undefined;
  /** When the event was committed, ISO 8601. */
  readonly timestamp: string;
  readonly groups: readonly TracedState[];
}

/** The entries of one key on one stream, newest first. */
export interface KeyTrace {
  readonly stream: string;
  readonly partition: number;
  readonly entries: readonly TracedEntry[];
  /** false: there may be older ones. */
  readonly isComplete: boolean;
}

/** The tools to live with the bus. Errors: BusAdminError with a code. */
export interface BusAdmin {
  topics(): Promise<readonly TopicState[]>;
  /**
   * Removes a group, so that it holds nothing back any more: from one topic, or from all that have it. Refused with `conflict` while a consumer was
   * seen in the last minute or dead letters wait, unless `force` (dead letters go with it then).
   * @throws BusAdminError not_found, conflict
   */
  dropGroup(group: string, options?: { readonly topic?: string; readonly force?: boolean; readonly dryRun?: boolean }): Promise<readonly DroppedGroup[]>;
  /** Moves a topic to `partitions` partitions: publishers at once, consumers after finishing the old ones. @throws BusAdminError not_found, conflict, invalid */
  repartition(topic: string, partitions: number): Promise<TopicState>;
  /**
   * The last `limit` entries of one ordering key and how far each group is with them, on the partition that the key belongs to (and on the one that
   * is draining). Looks at the last 20,000 entries at most. @throws BusAdminError not_found (topic), invalid (personal topic)
   */
  traceKey(topic: string, key: string, limit: number): Promise<readonly KeyTrace[]>;
  /** Oldest first in each group. @throws BusAdminError not_found (topic), invalid (cursor) */
  listDeadLetters(filter: DeadLetterFilter, page: { readonly limit: number; readonly cursor?: string }): Promise<DeadLetterPage>;
  /** @throws BusAdminError not_found, invalid (id) */
  getDeadLetter(id: string): Promise<DeadLetterDetail>;
  /** Replaces the payload (the wire's `data`) after checking it by the topic's schema; the letter gets a new id. @throws BusAdminError not_found, invalid */
  editDeadLetter(id: string, data: unknown): Promise<DeadLetterDetail>;
  /** Appends the events to their topic again, with their own ids, for every group (handlers are idempotent), and removes the letters. Safe to repeat. */
  replayDeadLetters(choice: DeadLetterChoice, options?: { readonly dryRun?: boolean }): Promise<ChangedDeadLetters>;
  discardDeadLetters(choice: DeadLetterChoice, options?: { readonly dryRun?: boolean }): Promise<ChangedDeadLetters>;
}

export class BusAdminError extends Error {
  override readonly name = 'BusAdminError';
  readonly code: 'not_found' | 'conflict' | 'invalid';
  /** JSON pointer into what was given, where it was invalid. */
  readonly pointer: string | undefined;
  constructor(code: 'not_found' | 'conflict' | 'invalid', message: string, pointer?: string) {
    super(message);
    this.code = code;
    this.pointer = pointer;
  }
}
