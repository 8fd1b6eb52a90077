import type { ErasureBody, ErasureReceipt, StoreReceipt } from '@millrace/contracts';
import type { Pool, PoolClient } from 'pg';
import { findErasure, findTarget, LOCK_NAMES, LOCK_WRITERS } from './user-names.ts';

/** Each phase is left only when all of it is done; what a crash cut short is done again. */
export type ErasurePhase = 'marking' | 'erasing' | 'draining' | 'again' | 'checking' | 'done';

export interface ErasureJob {
  readonly job: string;
  /** Every name of the person. */
  readonly users: readonly string[];
  readonly phase: ErasurePhase;
  /** Number of the last publication. */
  readonly attempt: number;
  /** The publication that this phase began with: services must have answered it, or a later one. */
  readonly fromAttempt: number;
  readonly ageMs: number;
  /** Since the last publication. */
  readonly askedMs: number;
}

/**
 * Records that a user is erased, with all its names, and the job that does it: the same job for one that was recorded before. From the commit on
 * nobody writes a row of the user (`events.require_erasures`), and nobody merges it.
 */
export async function recordErasure(client: PoolClient, hmac: (userId: string) => string, id: string): Promise<string> {
  await client.query(LOCK_NAMES);
  const known = await findErasure(client, [hmac(id)]);
  if (known !== undefined) return known;
  const userId = (await findTarget(client, id)) ?? id;
  const { rows } = await client.query<{ alias: string }>('select alias from events.user_aliases where user_id = $1', [userId]);
  const users = [...new Set([id, userId, ...rows.map(({ alias }) => alias)])];
  await client.query(LOCK_WRITERS);
  const made = await client.query<{ job: string }>('insert into events.erasures (users, names) values ($1, $2) returning job', [users, users.length]);
  const job = made.rows[0]?.job;
  if (job === undefined) throw new Error('the job was not recorded');
  await client.query('insert into events.erased (hmac, job) select hmac, $2 from unnest($1::text[]) with ordinality as given (hmac, place) order by place on conflict do nothing', [users.map(hmac), job]);
  return job;
}

const time = (column: string): string => `to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as ${column}`;
const SHOW = `select job, phase, names, waiting_for, ${time('requested_at')}, ${time('finished_at')} from events.erasures where job = $1`;
/** What is due is what the last answer of the store says; what was erased adds up. */
const RECEIPTS = `
  select service, store, sum(erased)::bigint as erased, (array_agg(due order by attempt desc))[1] as due
  from events.erasure_receipts where job = $1 group by service, store order by service, store`;

export async function findErasureJob(pool: Pick<Pool, 'query'>, job: string): Promise<ErasureBody | undefined> {
  const { rows } = await pool.query<Omit<ErasureBody, 'state' | 'phase' | 'receipts'> & { phase: ErasurePhase }>(SHOW, [job]);
  const [row] = rows;
  if (!row) return undefined;
  const receipts = (await pool.query<{ service: string; store: string; erased: number; due: number }>(RECEIPTS, [job])).rows;
  const { phase, ...rest } = row;
  return { ...rest, state: phase === 'done' ? 'done' : 'running', phase: phase === 'again' ? 'checking' : phase, receipts: receipts.map((one) => ({ ...one, found: one.erased + one.due })) };
}

const CLAIM = `
  select job, users, phase, attempt, from_attempt, extract(epoch from now() - requested_at) * 1000 as age_ms, coalesce(extract(epoch from now() - published_at) * 1000, 0) as asked_ms
  from events.erasures where phase <> 'done' and due_at <= now() order by due_at limit 1 for update skip locked`;

/** The next job that is due, locked until the end of the transaction: one instance works on it. */
export async function claimErasure(client: PoolClient): Promise<ErasureJob | undefined> {
  const { rows } = await client.query<{ job: string; users: string[]; phase: ErasurePhase; attempt: number; from_attempt: number; age_ms: string; asked_ms: string }>(CLAIM);
  const [row] = rows;
  return row && { job: row.job, users: row.users, phase: row.phase, attempt: row.attempt, fromAttempt: row.from_attempt, ageMs: Number(row.age_ms), askedMs: Number(row.asked_ms) };
}

export interface Progress {
  readonly phase: ErasurePhase;
  readonly waitingFor: readonly string[];
  readonly delayMs: number;
  /** The number of a publication that has just been made. */
  readonly published?: number;
  /** The phase begins with this publication. */
  readonly fromAttempt?: number;
}

/** At the end the names go. */
export async function saveProgress(client: PoolClient, job: string, { phase, waitingFor, delayMs, published, fromAttempt }: Progress): Promise<void> {
  await client.query(
    `update events.erasures set phase = $2, waiting_for = $3, due_at = now() + make_interval(secs => $4::double precision / 1000), failures = 0,
       attempt = coalesce($5, attempt), published_at = case when $5::integer is null then published_at else now() end, from_attempt = coalesce($6, from_attempt),
       users = case when $2 = 'done' then null else users end, finished_at = case when $2 = 'done' then now() end
     where job = $1`,
    [job, phase, waitingFor, delayMs, published ?? null, fromAttempt ?? null],
  );
}

/** A step failed: the job says what it waits for, and is tried again after 0.5 s, doubling to a minute. */
export async function saveFailure(pool: Pick<Pool, 'query'>, job: string, waitingFor: string): Promise<void> {
  await pool.query(`update events.erasures set waiting_for = array[$2::text], failures = failures + 1, due_at = now() + make_interval(secs => least(60, 0.5 * 2 ^ least(failures, 10))) where job = $1`, [job, waitingFor]);
}

export const OWN = 'event-ingest';

/** Adds to what this service itself has erased, in the transaction that erased it. */
export async function addOwnReceipts(client: PoolClient, job: string, receipts: readonly Omit<StoreReceipt, 'found'>[]): Promise<void> {
  for (const { store, erased, due } of receipts)
    await client.query(
      `insert into events.erasure_receipts as known (job, attempt, service, store, found, erased, due) values ($1, 0, $2, $3, $4::bigint + $5::bigint, $4, $5)
       on conflict (job, attempt, service, store) do update set erased = known.erased + excluded.erased, due = excluded.due, found = known.erased + excluded.erased + excluded.due`,
      [job, OWN, store, erased, due],
    );
}

/** Keeps what services answered, the first answer of each attempt: safe to repeat, in any order. The jobs go on at once. */
export async function saveReceipts(pool: Pick<Pool, 'query'>, receipts: readonly ErasureReceipt[]): Promise<void> {
  for (const { job, attempt, service, stores } of receipts) {
    await pool.query(
      `insert into events.erasure_receipts (job, attempt, service, store, found, erased, due)
       select $1::uuid, $2, $3, store, found, erased, due from jsonb_to_recordset($4::jsonb) as given (store text, found bigint, erased bigint, due bigint)
       where exists (select 1 from events.erasures where job = $1::uuid) on conflict do nothing`,
      [job, attempt, service, JSON.stringify(stores)],
    );
    await pool.query(`update events.erasures set due_at = now() where job = $1::uuid and phase in ('draining', 'checking')`, [job]);
  }
}

/** Services whose answer to `fromAttempt`, or to a later publication, leaves nothing due. */
export async function findAnswered(client: PoolClient, job: string, fromAttempt: number): Promise<ReadonlySet<string>> {
  const { rows } = await client.query<{ service: string }>(
    `select service from (select service, attempt, sum(due) as due, row_number() over (partition by service order by attempt desc) as place
       from events.erasure_receipts where job = $1 and attempt >= $2 group by service, attempt) as answers where place = 1 and due = 0`,
    [job, fromAttempt],
  );
  return new Set(rows.map(({ service }) => service));
}
