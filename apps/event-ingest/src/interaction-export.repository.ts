import type { InteractionType } from '@millrace/contracts';
import { AppError } from '@millrace/service';
import type { Pool, PoolClient } from 'pg';

/** Events that wait for Redis and may be flagged in one export; beyond, whoever counts them has to wait. */
export const MAX_DEFERRED = 100_000;
const PAGE_ROWS = 2_000;

/** Behind one row of the export's order. */
export interface ExportCursor { readonly userId: string; readonly ts: string; readonly eventId: string }

export interface ExportedRow {
  readonly event_id: string;
  readonly user_id: string;
  readonly asin: string;
  readonly event_type: InteractionType;
  /** ISO 8601 in UTC, to the microsecond. */
  readonly ts: string;
  /** Of the product, as the projection has it now. */
  readonly category: string | null;
  readonly rating: number | null;
}

export interface Snapshot {
  /** Ids of the events in `deferred_events`. */
  readonly deferred: ReadonlySet<string>;
  /** In order; ends where there is nothing more, or after `limit` rows. */
  readonly pages: (after: ExportCursor | undefined, limit: number) => AsyncGenerator<readonly ExportedRow[]>;
}

/** Backwards through the index (user_id, ts desc): nothing is sorted but events of one user and instant. */
const rowsBehind = (after: ExportCursor | undefined): { readonly text: string; readonly values: readonly string[] } => ({
  text: `declare export no scroll cursor for
    select l.event_id, l.user_id, l.asin, l.event_type, to_char(l.ts at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as ts, i.category, l.rating
    from events.interaction_logs l join events.items i on i.sku = l.asin
    ${after === undefined ? '' : 'where l.user_id <= $1 and (l.user_id < $1 or (l.ts, l.event_id) > ($2::timestamptz, $3))'}
    order by l.user_id desc, l.ts, l.event_id`,
  values: after === undefined ? [] : [after.userId, after.ts, after.eventId],
});

async function readDeferred(client: PoolClient): Promise<ReadonlySet<string>> {
  const { rows } = await client.query<{ id: string }>(`select event::jsonb -> 'meta' ->> 'id' as id from events.deferred_events limit ${MAX_DEFERRED + 1}`);
  if (rows.length > MAX_DEFERRED) throw new AppError('unavailable', 'too many events are still on their way to Redis: try again when they are there', { headers: { 'Retry-After': '60' } });
  return new Set(rows.map(({ id }) => id));
}

async function* readPages(client: PoolClient, after: ExportCursor | undefined, limit: number): AsyncGenerator<readonly ExportedRow[]> {
  const { text, values } = rowsBehind(after);
  await client.query(text, [...values]);
  for (let left = limit; left > 0; ) {
    const { rows } = await client.query<ExportedRow>(`fetch ${Math.min(PAGE_ROWS, left)} from export`);
    if (rows.length > 0) yield rows;
    if (rows.length < Math.min(PAGE_ROWS, left)) return;
    left -= rows.length;
  }
}

/**
 * Lets `use` read the log as it is now: one repeatable-read snapshot, so that no row is missed or read twice, whatever is committed meanwhile.
 * A reader that takes nothing for two minutes loses it.
 */
export async function withSnapshot(pool: Pool, use: (snapshot: Snapshot) => Promise<void>): Promise<void> {
  const client = await pool.connect();
  let broken: Error | undefined;
  const onError = (error: Error): void => void (broken = error);
  client.on('error', onError);
  try {
    await client.query('begin transaction isolation level repeatable read, read only');
    await client.query(`set local idle_in_transaction_session_timeout = '120s'; set local cursor_tuple_fraction = 0.001`);
    // The first query makes the snapshot.
    const deferred = await readDeferred(client);
    await use({ deferred, pages: (after, limit) => readPages(client, after, limit) });
  } finally {
    await client.query('rollback').catch((error: unknown) => (broken ??= error instanceof Error ? error : new Error('rollback failed')));
    client.off('error', onError);
    client.release(broken);
  }
}
