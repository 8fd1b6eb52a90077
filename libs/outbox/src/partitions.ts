import type { Pool } from 'pg';
import type { BusLogger } from '@millrace/bus';
import { describeError } from '@millrace/bus';
import type { Statements } from './statements.ts';

const HOUR_MS = 3_600_000;
const AHEAD_HOURS = 3;

const stamp = (at: number): string => new Date(at).toISOString();
const partitionName = (at: number): string => `outbox_published_${stamp(at).slice(0, 13).replaceAll(/[-T]/g, '')}`;

/**
 * Makes the partitions of the next hours and drops those older than a day. Never throws: an hour that has no partition goes to the
 * default one (which is emptied by DELETE), so publishing does not depend on this.
 */
export async function maintainPartitions(pool: Pool, statements: Statements, options: { readonly logger: BusLogger; readonly now?: number }): Promise<void> {
  try {
    await changePartitions(pool, statements, options);
  } catch (error) {
    options.logger.warn({ error: describeError(error) }, 'outbox partitions could not be looked after');
  }
}

async function changePartitions(pool: Pool, statements: Statements, { logger, now = Date.now() }: { readonly logger: BusLogger; readonly now?: number }): Promise<void> {
  const { rows } = await pool.query<{ name: string; expired: boolean }>(statements.partitions);
  const existing = new Set(rows.map(({ name }) => name));
  const ddl = rows.filter(({ expired }) => expired).map(({ name }) => statements.dropPartition(name));
  const thisHour = now - (now % HOUR_MS);
  for (let hour = 0; hour <= AHEAD_HOURS; hour += 1) {
    const from = thisHour + hour * HOUR_MS;
    if (!existing.has(partitionName(from))) ddl.push(statements.createPartition(partitionName(from), stamp(from), stamp(from + HOUR_MS)));
  }
  // Partition DDL locks the table: it waits for nobody for long.
  for (const statement of ddl) {
    await pool.query(`set local lock_timeout = '2s'; ${statement}`).catch((error: unknown) => logger.warn({ error: describeError(error) }, 'outbox partition could not be changed'));
  }
  await pool.query(statements.deleteOldDefault);
  await pool.query(statements.deleteOldBatches);
}
