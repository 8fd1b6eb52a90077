import type { Logger } from '@millrace/service';
import { Pool, TypeOverrides, types as pgTypes } from 'pg';
import type { PoolClient } from 'pg';

export interface PoolOptions {
  readonly url: string;
  /** Shown in pg_stat_activity. */
  readonly name: string;
  readonly max?: number;
  readonly logger?: Logger;
  /** Longest statement; 0 = no bound (imports, exports). */
  readonly statementTimeoutMs?: number;
  /** Longest wait for an answer, also of a server that hangs and keeps no time itself; the connection is given up then. Default: none. Not for streams. */
  readonly answerTimeoutMs?: number;
  /** Longest wait for a lock, of whatever kind, then LOCK_NOT_AVAILABLE. Default: as long as the statement may take. */
  readonly lockTimeoutMs?: number;
  /** A transaction whose process says nothing for so long is ended, with its connection and its locks. Default: never. */
  readonly idleTransactionTimeoutMs?: number;
}

/** int8 is text in pg; here it fits a JS number: versions and counts stay far below 2^53. NUMERIC (money) stays text. */
const types = new TypeOverrides();
types.setTypeParser(pgTypes.builtins.INT8, Number);
// Timestamps stay text: a JS Date cuts the microseconds that keyset cursors need.
for (const builtin of [pgTypes.builtins.TIMESTAMPTZ, pgTypes.builtins.TIMESTAMP]) types.setTypeParser(builtin, (text: string) => text);

/** pg drops a query that was not answered in time and keeps its connection, which goes on waiting for that answer: whoever gets it next waits behind. */
function endWhenSilent(client: PoolClient): void {
  const query = client.query.bind(client);
  const watched = (...args: readonly unknown[]): unknown => {
    const answer: unknown = Reflect.apply(query, undefined, args);
    if (answer instanceof Promise) answer.catch((error: unknown) => { if (error instanceof Error && error.message === 'Query read timeout') void client.end(); });
    return answer;
  };
  Object.defineProperty(client, 'query', { value: watched });
}

/**
 * A pool of at most 8 connections; connecting gives up after 5 s, a statement after 30 s. A connection's error is logged, never thrown; the query that it had rejects.
 * Time zone and timeouts are start-up options: PgBouncer needs `ignore_startup_parameters = options`, and has none of them then.
 */
export function createPool({ url, name, max = 8, logger, statementTimeoutMs = 30_000, answerTimeoutMs, lockTimeoutMs, idleTransactionTimeoutMs }: PoolOptions): Pool {
  const pool = new Pool({
    connectionString: url,
    application_name: name,
    max,
    types,
    connectionTimeoutMillis: 5_000,
    idleTimeoutMillis: 30_000,
    keepAlive: true,
    ...(answerTimeoutMs !== undefined && { query_timeout: answerTimeoutMs }),
    options: [
      `-c timezone=UTC -c statement_timeout=${statementTimeoutMs}`,
      ...(lockTimeoutMs === undefined ? [] : [`-c lock_timeout=${lockTimeoutMs}`]),
      ...(idleTransactionTimeoutMs === undefined ? [] : [`-c idle_in_transaction_session_timeout=${idleTransactionTimeoutMs}`]),
    ].join(' '),
  });
  pool.on('error', (error) => logger?.warn({ err: error }, 'idle database connection failed'));
  // The pool listens to idle connections only: one that breaks while a transaction holds it would end the process. Whoever uses it is told by its query.
  pool.on('connect', (client) => void client.on('error', (error) => logger?.warn({ err: error }, 'database connection failed')));
  if (answerTimeoutMs !== undefined) pool.on('connect', endWhenSilent);
  return pool;
}

/**
 * For transactions that wait for each other's locks: apart from the pool of those who only read or write a row, who else found every connection waiting.
 * A lock is waited for 3 s, so that nobody queues behind a wait for long, and a process that stands still holds one for 10 s.
 */
export const createLockingPool = (options: Omit<PoolOptions, 'lockTimeoutMs' | 'idleTransactionTimeoutMs'>): Pool => createPool({ max: 4, ...options, lockTimeoutMs: 3_000, idleTransactionTimeoutMs: 10_000 });
