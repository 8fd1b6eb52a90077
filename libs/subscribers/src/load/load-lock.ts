import { hostname } from 'node:os';
import { isViolation, LOCK_NOT_AVAILABLE } from '@millrace/database';
import type { Pool, PoolClient } from 'pg';
import { LoadNotPossibleError } from '../errors.ts';

const LOCK = `hashtextextended('millrace ut360 load', 0)`;

/** SQL: does anybody hold the lock now? */
export const LOCK_IS_HELD = `exists (
  select 1 from pg_locks where locktype = 'advisory' and granted and objsubid = 1 and database = (select oid from pg_database where datname = current_database()) and (classid::bigint << 32 | objid::bigint) = ${LOCK})`;

/** Name of a session of a load, as pg_stat_activity shows it: it has 63 bytes. */
export const sessionName = (name = 'ut360-load'): string => `${name} ${process.pid}@${hostname()}`.slice(0, 63);

export interface LoadLockOptions {
  /** The service's own checks take the lock for a moment now and then. */
  readonly waitMs?: number;
  /** Shown to those who have to wait. */
  readonly name?: string;
}

/**
 * Runs `work` as the only one that changes generations. The lock belongs to the connection that `work` is given: where that breaks, Postgres
 * gives the lock to the next one, and a statement on the broken connection fails. So whatever makes a generation live has to use it: that is
 * the fence. Throws LoadNotPossibleError where another one has it. Needs a direct connection (no pooler between).
 */
export async function underLoadLock<T>(pool: Pool, work: (client: PoolClient) => Promise<T>, { waitMs = 10_000, name }: LoadLockOptions = {}): Promise<T> {
  const client = await pool.connect();
  try {
    await client.query('set statement_timeout = 0');
    await client.query(`select set_config('application_name', $1, false)`, [sessionName(name)]);
    if (!(await takeLock(client, waitMs))) throw new LoadNotPossibleError(`another load is running${await holderOf(client)}: wait until it has ended`);
    return await work(client);
  } finally {
    // Closing the connection is what gives the lock back, whatever state it is in.
    client.release(true);
  }
}

/**
 * Ends the sessions of loads under this name: of a process that stands still, and that must not act any more anyway. Not only that with the lock: the
 * one in the middle of a file keeps its table's name from whoever loads next.
 */
export async function endLoadsNamed(pool: Pool, name: string): Promise<number> {
  const { rowCount } = await pool.query(`
    select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and starts_with(application_name, $1)`, [`${name} `]);
  return rowCount ?? 0;
}

async function takeLock(client: PoolClient, waitMs: number): Promise<boolean> {
  await client.query(`set lock_timeout = ${Math.max(1, Math.round(waitMs))}`);
  try {
    await client.query(`select pg_advisory_lock(${LOCK})`);
  } catch (error) {
    if (isViolation(error, LOCK_NOT_AVAILABLE)) return false;
    throw error;
  }
  await client.query('set lock_timeout = 0');
  return true;
}

async function holderOf(client: PoolClient): Promise<string> {
  const { rows } = await client.query<{ name: string; since: string }>(`
    select a.application_name as name, to_char(a.backend_start, 'YYYY-MM-DD HH24:MI:SS TZ') as since from pg_locks l join pg_stat_activity a using (pid)
    where l.locktype = 'advisory' and l.granted and l.objsubid = 1 and a.datname = current_database()
      and (l.classid::bigint << 32 | l.objid::bigint) = ${LOCK}`);
  return rows[0] === undefined ? '' : ` (${rows[0].name}, since ${rows[0].since})`;
}
