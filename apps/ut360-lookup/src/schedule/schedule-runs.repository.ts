import { LoadNotPossibleError } from '@millrace/subscribers';
import type { Pool, PoolClient } from 'pg';
import { outcomeSchema } from './load-messages.ts';
import type { Outcome } from './load-messages.ts';

type Db = Pick<Pool | PoolClient, 'query'>;

/** A run in one of these states has dealt with its time; in the others it is tried again. */
const CLOSED = ['loaded', 'nothing', 'refused'];
const KEPT_RUNS = 1_000;

/** A schedule that is new or was changed begins with its next time: what another pattern would have named before was not missed. */
export async function registerSchedule(db: Db, { pattern, timeZone, now }: { readonly pattern: string; readonly timeZone: string; readonly now: Date }): Promise<void> {
  await db.query('update ut360.schedule set pattern = $1, time_zone = $2, since = $3 where pattern is distinct from $1 or time_zone is distinct from $2', [pattern, timeZone, now.toISOString()]);
}

export interface DueOptions {
  readonly now: Date;
  readonly retryMs: number;
  readonly maxAttempts: number;
}

export interface Due {
  readonly isDue: boolean;
  /** There will be no other attempt for this time. */
  readonly isLastAttempt: boolean;
}

/** Has nobody dealt with this time yet? Runs that were killed or stopped are tried again at once, others after `retryMs`. */
export async function findDue(db: Db, dueAt: Date, { now, retryMs, maxAttempts }: DueOptions): Promise<Due> {
  const { rows } = await db.query<{ is_later: boolean; closed: number; attempts: number; resting: number }>(`
    select coalesce((select since < $1::timestamptz from ut360.schedule), false) as is_later,
      count(*) filter (where state = any($2))::int as closed,
      count(*) filter (where state <> 'stopped')::int as attempts,
      count(*) filter (where state in ('waiting', 'failed') and ended_at > $3::timestamptz)::int as resting
    from ut360.schedule_runs where due_at = $1`, [dueAt.toISOString(), CLOSED, new Date(now.getTime() - retryMs).toISOString()]);
  const [found] = rows;
  if (found === undefined) return { isDue: false, isLastAttempt: false };
  return { isDue: found.is_later && found.closed === 0 && found.attempts < maxAttempts && found.resting === 0, isLastAttempt: found.attempts + 1 >= maxAttempts };
}

/** Takes the fence: from now on nothing with a smaller number becomes live. Throws LoadNotPossibleError where a larger one was seen. */
async function raiseFence(client: Db, fence: number): Promise<void> {
  const { rowCount } = await client.query('update ut360.schedule set fence = $1 where fence <= $1', [fence]);
  if (rowCount === 0) throw new LoadNotPossibleError('a later run of the schedule has taken over: this one makes nothing live');
}

/** For the transaction of a switch: waits for a run that is just taking over, and throws where one has. */
export const checkFence = raiseFence;

export interface Run {
  readonly id: number;
  readonly isLastAttempt: boolean;
}

/** Registers a run under its fencing number. Undefined where the time has been dealt with. Runs that were still going are abandoned: their lease is over. */
export async function beginRun(pool: Pool, dueAt: Date, { fence, ...due }: DueOptions & { readonly fence: number }): Promise<Run | undefined> {
  const client = await pool.connect();
  let isDone = false;
  try {
    await client.query('begin');
    await raiseFence(client, fence);
    await client.query(`update ut360.schedule_runs set state = 'abandoned', ended_at = now() where state = 'running'`);
    const { isDue, isLastAttempt } = await findDue(client, dueAt, due);
    const inserted = isDue ? await client.query<{ id: number }>(`insert into ut360.schedule_runs (due_at, fence, state) values ($1, $2, 'running') returning id`, [dueAt.toISOString(), fence]) : undefined;
    await client.query('delete from ut360.schedule_runs where id <= (select max(id) - $1 from ut360.schedule_runs)', [KEPT_RUNS]);
    await client.query('commit');
    isDone = true;
    const id = inserted?.rows[0]?.id;
    return id === undefined ? undefined : { id, isLastAttempt };
  } finally {
    client.release(!isDone);
  }
}

/** A run that was abandoned meanwhile stays so. */
export async function endRun(db: Db, run: Run, outcome: Outcome): Promise<void> {
  await db.query(`update ut360.schedule_runs set state = $2, report = $3, ended_at = now() where id = $1 and state = 'running'`, [run.id, outcome.state, JSON.stringify(outcome)]);
}

export interface ScheduleState {
  /** Of the last run; undefined where there was none. */
  readonly state: string | undefined;
  readonly outcome: Outcome | undefined;
  /** End of the last run that loaded, or found nothing new; seconds since 1970, 0 = never. */
  readonly lastSuccess: number;
}

/** What all instances together did last. */
export async function readScheduleState(db: Db): Promise<ScheduleState> {
  const { rows } = await db.query<{ state: string | null; report: unknown; last_success: number }>(`
    select r.state, r.report, coalesce((select extract(epoch from max(ended_at))::float8 from ut360.schedule_runs where state in ('loaded', 'nothing')), 0) as last_success
    from (select 1) one left join lateral (select state, report from ut360.schedule_runs order by id desc limit 1) r on true`);
  const parsed = outcomeSchema.safeParse(rows[0]?.report);
  return { state: rows[0]?.state ?? undefined, outcome: parsed.success ? parsed.data : undefined, lastSuccess: rows[0]?.last_success ?? 0 };
}
