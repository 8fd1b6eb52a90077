import { rebuildCheckSchema, rebuildPhaseSchema, rebuildReasonSchema } from '@millrace/contracts';
import type { RebuildCheck, RebuildPhase, RebuildReason } from '@millrace/contracts';
import type { Db } from '@millrace/database';
import { sql } from 'kysely';
import type { RawBuilder } from 'kysely';
import { z } from 'zod';
import type { RebuildCheckpoint, RebuildJob } from './rebuild-job.ts';

export interface NewRebuild {
  readonly reason: RebuildReason;
  readonly force?: boolean;
  /** For a rollback: what is there already, and from where it must be caught up. */
  readonly existing?: { readonly target: string; readonly since: string };
}

/** What of a job may change; what is not named stays. */
export interface RebuildChange {
  readonly phase?: RebuildPhase;
  readonly target?: string;
  readonly previous?: string | null;
  readonly checkpoint?: RebuildCheckpoint;
  readonly builtFrom?: string;
  readonly rows?: number;
  readonly total?: number | null;
  readonly rowsPerSecond?: number | null;
  /** It came further. */
  readonly attempts?: 0;
  readonly error?: string | null;
  readonly checks?: readonly RebuildCheck[];
}

export type Held = Pick<RebuildJob, 'id' | 'runner'>;

/** The jobs of one store, in Postgres: what every instance goes by, and what a killed one leaves behind. */
export interface RebuildJournal {
  /** undefined: another one is unfinished. */
  readonly add: (job: NewRebuild) => Promise<RebuildJob | undefined>;
  readonly find: (id: number) => Promise<RebuildJob | undefined>;
  /** The one that is not finished. */
  readonly findRunning: () => Promise<RebuildJob | undefined>;
  /** The one that finished last. */
  readonly findLastFinished: () => Promise<RebuildJob | undefined>;
  /** The one that ended last otherwise than by failing. */
  readonly findLastDecided: () => Promise<RebuildJob | undefined>;
  /** The latest first. */
  readonly list: (limit: number) => Promise<readonly RebuildJob[]>;
  /** Counts an attempt; from now on only what is saved with this runner counts. @throws where it is finished */
  readonly take: (id: number) => Promise<RebuildJob>;
  /** Of an unfinished job. @throws where it is finished, or another runner has taken it up since */
  readonly save: (job: Held, change: RebuildChange) => Promise<RebuildJob>;
  /** The same. */
  readonly finish: (job: Held, end: { readonly phase: 'done' | 'failed' | 'cancelled'; readonly error?: string; readonly keepHours?: number }) => Promise<RebuildJob>;
  /** Marks it; whoever runs it ends it within a batch. undefined: it is not running, or swapped already. */
  readonly requestCancel: (id: number) => Promise<RebuildJob | undefined>;
  /** Targets that may be rolled back to. */
  readonly kept: () => Promise<readonly string[]>;
  /** Older ones than the last `count` are kept no longer. */
  readonly keepLast: (count: number) => Promise<void>;
  /** Milliseconds since this job finished, by the database's clock; Infinity for one that has not. */
  readonly msSince: (id: number) => Promise<number>;
  /** Removes jobs that finished more than 90 days ago, but for those that keep what was live before them. */
  readonly prune: () => Promise<void>;
}

const checkpointSchema = z.object({ since: z.string().optional(), after: z.string().optional(), watermark: z.string().optional() });
const rowSchema = z
  .object({
    id: z.coerce.number(), reason: rebuildReasonSchema, phase: rebuildPhaseSchema, force: z.boolean(), target: z.string().nullable(), previous: z.string().nullable(), checkpoint: checkpointSchema, builtFrom: z.string().nullable(),
    targetAgeMs: z.coerce.number().nullable(), rows: z.coerce.number(), total: z.coerce.number().nullable(), rowsPerSecond: z.number().nullable(), attempts: z.number(), cancelRequested: z.boolean(), error: z.string().nullable(),
    checks: z.array(rebuildCheckSchema), startedAt: z.string(), updatedAt: z.string(), finishedAt: z.string().nullable(), keptUntil: z.string().nullable(), isKept: z.boolean(), runner: z.string().nullable(),
  })
  .transform(({ checkpoint: { since, after, watermark }, ...rest }): RebuildJob => ({
    ...rest, checkpoint: { ...(since !== undefined && { since }), ...(after !== undefined && { after }), ...(watermark !== undefined && { watermark }) },
  }));

const iso = (column: string): RawBuilder<unknown> => sql`to_char(${sql.ref(column)} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;
const ms = (column: string): RawBuilder<unknown> => sql`extract(epoch from clock_timestamp() - ${sql.ref(column)}) * 1000`;
const COLUMNS = sql`id, reason, phase, force, target, previous, checkpoint, built_from as "builtFrom", ${ms('target_made_at')} as "targetAgeMs", rows, total, rows_per_second as "rowsPerSecond", attempts,
  cancel_requested as "cancelRequested", error, checks, ${iso('started_at')} as "startedAt", ${iso('updated_at')} as "updatedAt", ${iso('finished_at')} as "finishedAt", ${iso('kept_until')} as "keptUntil",
  coalesce(kept_until > clock_timestamp(), false) as "isKept", runner`;

function assignments({ phase, target, previous, checkpoint, builtFrom, rows, total, rowsPerSecond, attempts, error, checks }: RebuildChange): RawBuilder<unknown>[] {
  const set: RawBuilder<unknown>[] = [sql`updated_at = clock_timestamp()`];
  if (phase !== undefined) set.push(sql`phase = ${phase}`);
  if (target !== undefined) set.push(sql`target = ${target}, target_made_at = clock_timestamp()`);
  if (previous !== undefined) set.push(sql`previous = ${previous}`);
  if (checkpoint !== undefined) set.push(sql`checkpoint = ${JSON.stringify(checkpoint)}::jsonb`);
  if (builtFrom !== undefined) set.push(sql`built_from = ${builtFrom}`);
  if (rows !== undefined) set.push(sql`rows = ${rows}`);
  if (total !== undefined) set.push(sql`total = ${total}`);
  if (rowsPerSecond !== undefined) set.push(sql`rows_per_second = ${rowsPerSecond}`);
  if (attempts !== undefined) set.push(sql`attempts = ${attempts}`);
  if (error !== undefined) set.push(sql`error = ${error}`);
  if (checks !== undefined) set.push(sql`checks = ${JSON.stringify(checks)}::jsonb`);
  return set;
}

const isHeld = ({ id, runner }: Held): RawBuilder<boolean> => sql<boolean>`id = ${id} and finished_at is null and runner is not distinct from ${runner}::uuid`;

/** Over the table that `createRebuildsTable` made. */
export function createRebuildJournal<S>(db: Db<S>, schema: string): RebuildJournal {
  const table = sql.id(schema, 'rebuilds');
  const read = async (query: RawBuilder<unknown>): Promise<RebuildJob[]> => z.array(rowSchema).parse((await query.execute(db)).rows);
  const readOne = async (query: RawBuilder<unknown>): Promise<RebuildJob | undefined> => (await read(query))[0];
  const changed = async (id: number, query: RawBuilder<unknown>): Promise<RebuildJob> => {
    const job = await readOne(query);
    if (!job) throw new Error(`the rebuild ${id} is not this runner's any more`);
    return job;
  };
  return {
    add: ({ reason, force = false, existing }) =>
      readOne(existing
        ? sql`insert into ${table} (reason, force, phase, target, target_made_at, checkpoint) values (${reason}, ${force}, 'catching_up', ${existing.target}, clock_timestamp(), ${JSON.stringify({ since: existing.since })}::jsonb) on conflict do nothing returning ${COLUMNS}`
        : sql`insert into ${table} (reason, force) values (${reason}, ${force}) on conflict do nothing returning ${COLUMNS}`),
    find: (id) => readOne(sql`select ${COLUMNS} from ${table} where id = ${id}`),
    findRunning: () => readOne(sql`select ${COLUMNS} from ${table} where finished_at is null`),
    findLastFinished: () => readOne(sql`select ${COLUMNS} from ${table} where finished_at is not null order by finished_at desc limit 1`),
    findLastDecided: () => readOne(sql`select ${COLUMNS} from ${table} where finished_at is not null and phase <> 'failed' order by finished_at desc limit 1`),
    list: (limit) => read(sql`select ${COLUMNS} from ${table} order by id desc limit ${limit}`),
    take: (id) => changed(id, sql`update ${table} set attempts = attempts + 1, runner = gen_random_uuid(), updated_at = clock_timestamp() where id = ${id} and finished_at is null returning ${COLUMNS}`),
    save: (job, change) => changed(job.id, sql`update ${table} set ${sql.join(assignments(change))} where ${isHeld(job)} returning ${COLUMNS}`),
    finish: (job, { phase, error, keepHours = 0 }) =>
      changed(job.id, sql`update ${table} set phase = ${phase}, error = ${error ?? null}, rows_per_second = null, attempts = 0, updated_at = clock_timestamp(), finished_at = clock_timestamp(),
        kept_until = case when ${keepHours}::float8 > 0 and previous is not null then clock_timestamp() + ${keepHours}::float8 * interval '1 hour' end where ${isHeld(job)} returning ${COLUMNS}`),
    requestCancel: (id) => readOne(sql`update ${table} set cancel_requested = true, updated_at = clock_timestamp() where id = ${id} and finished_at is null and phase <> 'swapped' returning ${COLUMNS}`),
    keepLast: async (count) => void (await sql`update ${table} set kept_until = clock_timestamp() where kept_until > clock_timestamp()
      and id not in (select id from ${table} where kept_until > clock_timestamp() order by id desc limit ${count})`.execute(db)),
    kept: async () => (await sql<{ previous: string }>`select previous from ${table} where previous is not null and (kept_until > clock_timestamp() or finished_at is null)`.execute(db)).rows.map(({ previous }) => previous),
    msSince: async (id) => {
      const found = await sql<{ ms: string | number | null }>`select ${ms('finished_at')} as ms from ${table} where id = ${id}`.execute(db);
      return Number(found.rows[0]?.ms ?? Infinity);
    },
    prune: async () => void (await sql`delete from ${table} where finished_at < clock_timestamp() - interval '90 days' and (kept_until is null or kept_until < clock_timestamp())`.execute(db)),
  };
}
