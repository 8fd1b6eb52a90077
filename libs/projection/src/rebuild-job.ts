import type { RebuildCheck, RebuildPhase, RebuildReason, RebuildStoreName } from '@millrace/contracts';
import type { ExportPosition, ProjectedChange } from './export-reader.ts';
import type { VersionedStore } from './find-drift.ts';

/** Where a job's current pass over the export stands. */
export interface RebuildCheckpoint extends ExportPosition {
  /** The pass reads what changed since; absent: everything. */
  readonly since?: string;
}

/** One row of `<schema>.rebuilds`. */
export interface RebuildJob {
  readonly id: number;
  readonly reason: RebuildReason;
  readonly phase: RebuildPhase;
  /** Swap although golden queries fail. */
  readonly force: boolean;
  readonly target: string | null;
  readonly previous: string | null;
  readonly checkpoint: RebuildCheckpoint;
  /** Watermark of the first pass: the store that was live then is complete up to there, but for the stream's lag. */
  readonly builtFrom: string | null;
  /** Age of the target in ms by the database's clock; null without one. */
  readonly targetAgeMs: number | null;
  readonly rows: number;
  readonly total: number | null;
  readonly rowsPerSecond: number | null;
  readonly attempts: number;
  readonly cancelRequested: boolean;
  readonly error: string | null;
  readonly checks: readonly RebuildCheck[];
  readonly startedAt: string;
  readonly updatedAt: string;
  readonly finishedAt: string | null;
  readonly keptUntil: string | null;
  /** By the database's clock. */
  readonly isKept: boolean;
  /** Whoever took it up last: what others save is refused. */
  readonly runner: string | null;
}

/** The store that jobs build anew: what differs between a search index and vectors. */
export interface RebuildStore {
  readonly name: RebuildStoreName;
  readonly live: () => Promise<string | undefined>;
  /** Why a rebuild is due by itself; undefined: it is not. `first` and `repair` mean that readers have nothing now. */
  readonly due: () => Promise<RebuildReason | undefined>;
  /** May an unfinished target be gone on with? false: it is gone, damaged, or of another definition than this program's. */
  readonly canResume: (target: string) => Promise<boolean>;
  /** Is one that was live before still there, to be made live again? */
  readonly isThere: (target: string) => Promise<boolean>;
  /** An empty one of this program's definition, beside the live one. */
  readonly create: (signal: AbortSignal) => Promise<string>;
  /** Brings the target to the given states; guarded by version. Durable when it resolves. Answers the skus that it refuses for what they are. */
  readonly fill: (target: string, changes: readonly ProjectedChange[]) => Promise<readonly string[]>;
  /** The target by versions. */
  readonly versions: (target: string) => VersionedStore;
  /** Golden queries, before the swap: does the target answer as it should, and as the live one does? `force` passes over what fails. */
  readonly ask: (target: string, live: string | undefined, signal: AbortSignal) => Promise<readonly RebuildCheck[]>;
  /** Makes it live, atomically for readers. Called again after a failure or a crash, also where it is live already. */
  readonly swap: (target: string) => Promise<void>;
  /** After the swap: tells caches and others. May be called again after a crash. */
  readonly swapped: (target: string) => Promise<void>;
  /** Removes one that is not live; nothing where there is none. */
  readonly drop: (target: string) => Promise<void>;
  /** Removes all but the live one and these. */
  readonly dropOthers: (keep: readonly string[]) => Promise<void>;
}
