import type { QuarantineFilterBody } from '@millrace/contracts';
import { QUARANTINE_LIMITS } from '@millrace/contracts';
import type { Pool, PoolClient } from 'pg';

/** Something that runs statements: a pool, or the client of a transaction. */
export type Queryable = Pick<Pool | PoolClient, 'query'>;

/** What is wrong with an item. */
export interface Refusal {
  readonly code: string;
  readonly pointer: string;
  readonly reason: string;
}

export interface NewQuarantined extends Refusal {
  readonly receivedAt: Date;
  readonly route: string;
  /** Index in a list. */
  readonly place: number | undefined;
  readonly keyId: string;
  readonly eventId: string;
  readonly userId: string | undefined;
  readonly raw: string;
  readonly bytes: number;
  readonly isCut: boolean;
}

/** As it is stored; times are ISO 8601 in UTC, to the millisecond. */
export interface QuarantineRow {
  readonly id: string;
  readonly received_at: string;
  readonly route: string;
  readonly place: number | null;
  readonly key_id: string;
  readonly event_id: string;
  readonly user_id: string | null;
  readonly code: string;
  readonly pointer: string;
  readonly reason: string;
  readonly raw: string;
  readonly bytes: number;
  readonly is_cut: boolean;
  readonly checked_at: string | null;
  readonly repaired_at: string | null;
}

const isoTime = (column: string): string => `to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as ${column}`;
const COLUMNS = `id::text as id, ${isoTime('received_at')}, route, place, key_id, event_id, user_id, code, pointer, reason, bytes, is_cut, ${isoTime('checked_at')}, ${isoTime('repaired_at')}`;
const INSERT = {
  name: 'insert-quarantine',
  text: `insert into events.quarantine (received_at, route, place, key_id, event_id, user_id, code, pointer, reason, raw, bytes, is_cut)
    select * from unnest($1::timestamptz[], $2::text[], $3::int[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::int[], $12::boolean[])`,
};

/** All or none of them. */
export async function insertQuarantined(db: Queryable, items: readonly NewQuarantined[]): Promise<void> {
  await db.query({
    ...INSERT,
    values: [
      items.map((item) => item.receivedAt), items.map((item) => item.route), items.map((item) => item.place ?? null), items.map((item) => item.keyId), items.map((item) => item.eventId),
      items.map((item) => item.userId ?? null), items.map((item) => item.code), items.map((item) => item.pointer), items.map((item) => item.reason), items.map((item) => item.raw),
      items.map((item) => item.bytes), items.map((item) => item.isCut),
    ],
  });
}

/** Rows of each key. */
export async function countQuarantined(db: Queryable): Promise<ReadonlyMap<string, number>> {
  const { rows } = await db.query<{ key_id: string; count: number }>('select key_id, count(*)::int as count from events.quarantine group by key_id');
  return new Map(rows.map(({ key_id: keyId, count }) => [keyId, count]));
}

/** What is older than 30 days goes. */
export async function purgeQuarantine(db: Queryable): Promise<number> {
  return (await db.query('delete from events.quarantine where received_at < now() - make_interval(days => $1)', [QUARANTINE_LIMITS.days])).rowCount ?? 0;
}

interface Condition {
  readonly sql: string;
  readonly values: unknown[];
}

/** Parameters begin at $1. */
function conditionOf({ code, user, since, until }: QuarantineFilterBody): Condition {
  const values: unknown[] = [];
  const place = (value: unknown): string => `$${values.push(value)}`;
  const parts = [
    ...(code === undefined ? [] : [`code = ${place(code)}`]),
    ...(user === undefined ? [] : [`user_id = ${place(user)}`]),
    ...(since === undefined ? [] : [`received_at >= ${place(since)}::timestamptz`]),
    ...(until === undefined ? [] : [`received_at < ${place(until)}::timestamptz`]),
  ];
  return { sql: parts.length === 0 ? 'true' : parts.join(' and '), values };
}

/** Without their texts, oldest first. */
export async function findQuarantined(db: Queryable, filter: QuarantineFilterBody, page: { readonly after: string; readonly limit: number }): Promise<readonly Omit<QuarantineRow, 'raw'>[]> {
  const { sql, values } = conditionOf(filter);
  const { rows } = await db.query<Omit<QuarantineRow, 'raw'>>(`select ${COLUMNS} from events.quarantine where ${sql} and id > $${values.length + 1}::bigint order by quarantine.id limit $${values.length + 2}`, [...values, page.after, page.limit]);
  return rows;
}

/** Ids of what a filter or names choose, oldest first; at most `limit` after `after`. */
export async function findIds(db: Queryable, chosen: { readonly filter: QuarantineFilterBody } | { readonly ids: readonly string[] }, page: { readonly after: string; readonly limit: number }): Promise<readonly string[]> {
  const { sql, values } = 'filter' in chosen ? conditionOf(chosen.filter) : { sql: 'id = any($1::bigint[])', values: [chosen.ids] };
  const { rows } = await db.query<{ id: string }>(`select id::text as id from events.quarantine where ${sql} and id > $${values.length + 1}::bigint order by quarantine.id limit $${values.length + 2}`, [...values, page.after, page.limit]);
  return rows.map(({ id }) => id);
}

export async function findQuarantinedById(db: Queryable, id: string): Promise<QuarantineRow | undefined> {
  return (await db.query<QuarantineRow>(`select ${COLUMNS}, raw from events.quarantine where id = $1::bigint`, [id])).rows[0];
}

/** Those that nobody else works with, locked until the transaction ends. */
export async function lockQuarantined(client: PoolClient, ids: readonly string[]): Promise<readonly QuarantineRow[]> {
  return (await client.query<QuarantineRow>(`select ${COLUMNS}, raw from events.quarantine where id = any($1::bigint[]) order by quarantine.id for update skip locked`, [ids])).rows;
}

/** How many there were. */
export async function deleteQuarantined(db: Queryable, ids: readonly string[]): Promise<number> {
  return (await db.query('delete from events.quarantine where id = any($1::bigint[])', [ids])).rowCount ?? 0;
}

/** A replay found them still invalid. */
export async function keepInvalid(db: Queryable, refused: readonly (Refusal & { readonly id: string })[]): Promise<void> {
  if (refused.length === 0) return;
  await db.query(
    `update events.quarantine as q set code = g.code, pointer = g.pointer, reason = g.reason, checked_at = now()
     from unnest($1::bigint[], $2::text[], $3::text[], $4::text[]) as g(id, code, pointer, reason) where q.id = g.id`,
    [refused.map(({ id }) => id), refused.map(({ code }) => code), refused.map(({ pointer }) => pointer), refused.map(({ reason }) => reason)],
  );
}

export interface RepairedItem {
  readonly raw: string;
  readonly bytes: number;
  readonly userId: string;
  /** Where the new item names one. */
  readonly eventId: string | undefined;
}

/** undefined: it is not there (any more). Waits for a replay that has it. */
export async function repairRow(db: Queryable, id: string, { raw, bytes, userId, eventId }: RepairedItem): Promise<QuarantineRow | undefined> {
  const { rows } = await db.query<QuarantineRow>(
    `update events.quarantine set raw = $2, bytes = $3, is_cut = false, user_id = $4, event_id = coalesce($5, event_id), repaired_at = now() where id = $1::bigint returning ${COLUMNS}, raw`,
    [id, raw, bytes, userId, eventId ?? null],
  );
  return rows[0];
}

const REGEX_SIGNS = /[.*+?^${}()|[\]\\]/g;

/**
 * Removes what the quarantine has of these users (every id and alias of a person): rows that name one, and, of rows whose user could not be read, those
 * whose text holds such an id as a word. Returns how many there were; safe to repeat. Items that were refused a moment ago may still be on their way:
 * see `Quarantine.flush`.
 */
export async function eraseQuarantine(client: Queryable, userIds: readonly string[]): Promise<number> {
  if (userIds.length === 0) return 0;
  // As the id is written in JSON, and as it is.
  const words = [...new Set(userIds.flatMap((id) => [id, JSON.stringify(id).slice(1, -1)]))].map((id) => `(^|[^[:alnum:]_])${id.replaceAll(REGEX_SIGNS, String.raw`\$&`)}($|[^[:alnum:]_])`);
  return (await client.query('delete from events.quarantine where user_id = any($1::text[]) or (user_id is null and raw ~ any($2::text[]))', [userIds, words])).rowCount ?? 0;
}
