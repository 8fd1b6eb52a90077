import type { Logger } from '@millrace/service';
import { Pool, TypeOverrides, types as pgTypes } from 'pg';

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
}

/** int8 is text in pg; here it fits a JS number: versions and counts stay far below 2^53. NUMERIC (money) stays text. */
const types = new TypeOverrides();
types.setTypeParser(pgTypes.builtins.INT8, Number);
// Timestamps stay text: a JS Date cuts the microseconds that keyset cursors need.
for (const builtin of [pgTypes.builtins.TIMESTAMPTZ, pgTypes.builtins.TIMESTAMP]) types.setTypeParser(builtin, (text: string) => text);

/**
 * A pool of at most 8 connections; connecting gives up after 5 s, a statement after 30 s. A connection's error is logged, never thrown; the query that it had rejects.
 * Time zone and timeout are start-up options: PgBouncer needs `ignore_startup_parameters = options`, and has no statement timeout then.
 */
export function createPool({ url, name, max = 8, logger, statementTimeoutMs = 30_000, answerTimeoutMs }: PoolOptions): Pool {
  const pool = new Pool({
    connectionString: url,
    application_name: name,
    max,
    types,
    connectionTimeoutMillis: 5_000,
    idleTimeoutMillis: 30_000,
    keepAlive: true,
    ...(answerTimeoutMs !== undefined && { query_timeout: answerTimeoutMs }),
    options: `-c timezone=UTC -c statement_timeout=${statementTimeoutMs}`,
  });
  pool.on('error', (error) => logger?.warn({ err: error }, 'idle database connection failed'));
  // The pool listens to idle connections only: one that breaks while a transaction holds it would end the process. Whoever uses it is told by its query.
  pool.on('connect', (client) => void client.on('error', (error) => logger?.warn({ err: error }, 'database connection failed')));
  return pool;
}
