import { inTransaction } from '@millrace/database';
import type { Pool } from 'pg';

export interface MonthPartitions {
  /** Makes the partitions of these months (YYYY-MM-01) where they are missing. */
  ensure(months: ReadonlySet<string>): Promise<void>;
  /** This month and the next three. */
  ensureAhead(): Promise<void>;
  /** A partition that was known is gone. */
  forget(): void;
}

const MONTH = /^\d{4}-\d{2}-01$/;
const AHEAD = 3;

/** Partitions of `events.interaction_logs`; each month is looked at once by an instance. Several instances may make the same one. */
export function createMonthPartitions(pool: Pool): MonthPartitions {
  const known = new Set<string>();
  const make = async (month: string): Promise<void> => {
    if (!MONTH.test(month)) throw new RangeError('a month is YYYY-MM-01');
    const name = `interaction_logs_${month.slice(0, 7).replace('-', '_')}`;
    await inTransaction(pool, async (client) => {
      // One maker at a time: two would fail on each other's catalogue rows. Nobody waits for the table for long.
      await client.query(`set local lock_timeout = '5s'`);
      await client.query(`select pg_advisory_xact_lock(hashtextextended('millrace:events:partitions', 0))`);
      await client.query(`create table if not exists events.${name} partition of events.interaction_logs for values in ('${month}')`);
    });
    known.add(month);
  };
  const ensure = async (months: ReadonlySet<string>): Promise<void> => {
    for (const month of months) if (!known.has(month)) await make(month);
  };
  return {
    ensure,
    async ensureAhead() {
      const now = new Date();
      await ensure(new Set(Array.from({ length: AHEAD + 1 }, (_, ahead) => new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + ahead, 1)).toISOString().slice(0, 10))));
    },
    forget: () => known.clear(),
  };
}
