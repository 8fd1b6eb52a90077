import { inTransaction } from '@millrace/database';
import type { Pool } from 'pg';
import type { Notification } from './notification.ts';

export interface Received { readonly isNew: boolean; readonly products: number }

/** Writes down a notification and what it asks for, together and once: one that is known changes nothing. */
export async function receive(pool: Pool, { id, posIds, unknownIds }: Notification): Promise<Received> {
  return await inTransaction(pool, async (client) => {
    const { rowCount } = await client.query('insert into pos.notifications (id) values ($1) on conflict do nothing', [id]);
    if (rowCount === 0) return { isNew: false, products: 0 };
    const { rowCount: products } = await client.query(`
      insert into pos.hints as h (pos_id)
      select id from (select unnest($1::bigint[]) as id union select pos_id from pos.links where pos_id = any($2) and removed_at is null) ids order by id
      on conflict (pos_id) do update set asked = h.asked + 1, next_at = least(h.next_at, now())`, [posIds, unknownIds]);
    return { isNew: true, products: products ?? 0 };
  });
}

export interface Hint { readonly posId: number; readonly asked: number; readonly attempts: number }

/** The products that wait longest. */
export async function findHints(pool: Pool, limit: number): Promise<readonly Hint[]> {
  const { rows } = await pool.query<{ pos_id: number; asked: number; attempts: number }>('select pos_id, asked, attempts from pos.hints where next_at <= now() order by next_at, pos_id limit $1', [limit]);
  return rows.map(({ pos_id: posId, asked, attempts }) => ({ posId, asked, attempts }));
}

/** They are taken over; one that was asked for again meanwhile stays. */
export async function dropHints(pool: Pool, hints: readonly Hint[]): Promise<void> {
  await pool.query('delete from pos.hints h using unnest($1::bigint[], $2::bigint[]) as d (pos_id, asked) where h.pos_id = d.pos_id and h.asked = d.asked', [hints.map(({ posId }) => posId), hints.map(({ asked }) => asked)]);
}

/** They are looked at again after that time. */
export async function postponeHints(pool: Pool, hints: readonly Hint[], afterMs: number): Promise<void> {
  await pool.query('update pos.hints set attempts = attempts + 1, next_at = now() + make_interval(secs => $2::float8 / 1000) where pos_id = any($1)', [hints.map(({ posId }) => posId), afterMs]);
}

/** A run has read all that had changed before it began. */
export async function dropHintsBefore(pool: Pool, runId: number): Promise<void> {
  await pool.query('delete from pos.hints where since < (select started_at from pos.runs where id = $1) and asked = 1', [runId]);
}

/** Ids of notifications are remembered for 30 days: one that is sent again later only makes us look again. */
export async function purgeNotifications(pool: Pool): Promise<void> {
  await pool.query(`delete from pos.notifications where id in (select id from pos.notifications where received_at < now() - interval '30 days' limit 10000)`);
}

export interface NotificationState { readonly received: number; readonly lastReceivedAt: string | null; readonly waiting: number }

export async function readNotificationState(pool: Pool): Promise<NotificationState> {
  const { rows } = await pool.query<{ received: number; last_at: string | null; waiting: number }>(`
    select count(*)::int as received, to_char(max(received_at) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as last_at, (select count(*)::int from pos.hints) as waiting from pos.notifications`);
  return { received: rows[0]?.received ?? 0, lastReceivedAt: rows[0]?.last_at ?? null, waiting: rows[0]?.waiting ?? 0 };
}
