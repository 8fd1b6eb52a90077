import { interactions } from '@millrace/contracts';
import { inTransaction } from '@millrace/database';
import { AppError } from '@millrace/service';
import type { Redis } from '@millrace/redis-kit';
import type { Pool, PoolClient } from 'pg';
import { z } from 'zod';
import { DAY_MS, HOUR_MS, MINUTE_MS } from './deltas.ts';
import type { Delta } from './deltas.ts';
import { addDeltas, cutoffsOf, floor, lockCounts } from './roll-up.repository.ts';
import type { Retention } from './roll-up.repository.ts';
import type { Sources } from './sources.ts';
import { readUnflushed } from './unflushed.ts';

export interface RecountDeps {
  readonly pool: Pool;
  readonly redis: Redis;
  readonly sources: Pick<Sources, 'list'>;
  readonly retention: Retention;
  /** Ages of the oldest events that are not in the log, and not counted, milliseconds. */
  readonly lagsMs: () => Promise<readonly number[]>;
  readonly now?: () => number;
}

export interface Recounted {
  readonly from: number;
  readonly to: number;
  readonly added: number;
  readonly removed: number;
}

/** Events of the last minutes may be on their way still. */
const SETTLED_MS = 300_000;
const MAX_LAG_MS = 60_000;
const MAX_DAYS = 3_700;

const refuse = (pointer: string, detail: string): AppError => new AppError('invalid_request', `body ${pointer}: ${detail}`, { details: [{ in: 'body', pointer, detail }] });

/** A day, or the part of one that is asked for where its hours are all kept. `unitMs`: what is compared, the finest that is kept of that day. */
interface Slice { readonly from: number; readonly to: number; readonly unitMs: number; readonly productUnitMs: number; readonly granularity: string; readonly productGranularity: string }

function slicesOf(from: number, to: number, retention: Retention, nowMs: number): readonly Slice[] {
  const cutoffs = cutoffsOf(retention, nowMs);
  const slices: Slice[] = [];
  for (let day = floor(from, DAY_MS); day < to; day += DAY_MS) {
    const end = day + DAY_MS;
    if (day >= cutoffs.minute) slices.push({ from: Math.max(day, floor(from, HOUR_MS)), to: Math.min(end, floor(to, HOUR_MS)), unitMs: MINUTE_MS, productUnitMs: HOUR_MS, granularity: 'minute', productGranularity: 'hour' });
    else if (end <= to) slices.push({ from: day, to: end, unitMs: day >= cutoffs.hour ? HOUR_MS : DAY_MS, productUnitMs: DAY_MS, granularity: day >= cutoffs.hour ? 'hour' : 'day', productGranularity: 'day' });
  }
  return slices.filter((slice) => slice.from < slice.to);
}

const LOGGED = `
select (extract(epoch from date_trunc($3, ts, 'UTC')) * 1000)::bigint as at, event_type::text as kind, null as sku, count(*) as by from events.interaction_logs
where month = any($5::date[]) and ts >= to_timestamp($1::float8 / 1000) and ts < to_timestamp($2::float8 / 1000) group by 1, 2
union all
select (extract(epoch from date_trunc($4, ts, 'UTC')) * 1000)::bigint, event_type::text, asin, count(*) from events.interaction_logs
where month = any($5::date[]) and ts >= to_timestamp($1::float8 / 1000) and ts < to_timestamp($2::float8 / 1000) and event_type <> 'rate' group by 1, 2, 3`;
const COUNTED = `
select (extract(epoch from bucket) * 1000)::bigint as at, kind, null as sku, count as by from events.analytics_counts
where granularity = $3::events.granularity and bucket >= to_timestamp($1::float8 / 1000) and bucket < to_timestamp($2::float8 / 1000) and kind = any($5::text[])
union all
select (extract(epoch from bucket) * 1000)::bigint, counted.kind, sku, counted.by from events.analytics_products,
  lateral (values ('view', views), ('click', clicks), ('add_to_cart', carts), ('purchase', purchases)) as counted(kind, by)
where granularity = $4::events.granularity and bucket >= to_timestamp($1::float8 / 1000) and bucket < to_timestamp($2::float8 / 1000) and counted.by <> 0`;

const loggedKind = z.enum(['view', 'click', 'add_to_cart', 'purchase', 'rate']);
const row = z.object({ at: z.number(), kind: loggedKind, sku: z.string().nullable(), by: z.number() });
type Row = z.output<typeof row>;

const keyOf = ({ at, kind, sku }: Row): string => `${at} ${kind} ${sku ?? ''}`;
const monthsOf = ({ from, to }: Slice): readonly string[] => [...new Set([from, to - 1].map((at) => `${new Date(at).toISOString().slice(0, 7)}-01`))];

/** What Redis will add to a slice later: the log has it already. */
function waiting(deltas: readonly Delta[], { from, to, unitMs, productUnitMs }: Slice): readonly Row[] {
  return deltas.filter(({ at }) => at >= from && at < to).flatMap((delta): Row[] => {
    const kind = loggedKind.safeParse(delta.kind).data;
    if (kind === undefined) return [];
    return [delta.of === 'kind' ? { at: floor(delta.at, unitMs), kind, sku: null, by: delta.by } : { at: floor(delta.at, productUnitMs), kind, sku: delta.sku, by: delta.by }];
  });
}

async function uncommitted(client: PoolClient, { redis, sources }: RecountDeps): Promise<readonly Delta[]> {
  const sets = (await readUnflushed(redis, sources)).filter(({ id }) => id !== '');
  const { rows } = await client.query('select id from events.analytics_rollups where id = any($1::text[])', [sets.map(({ id }) => id)]);
  const committed = new Set(z.array(z.object({ id: z.string() })).parse(rows).map(({ id }) => id));
  return sets.filter(({ id }) => !committed.has(id)).flatMap(({ deltas }) => deltas);
}

async function recountSlice(deps: RecountDeps, slice: Slice, nowMs: number): Promise<{ added: number; removed: number }> {
  return inTransaction(deps.pool, async (client) => {
    // No roll-up commits meanwhile.
    await lockCounts(client);
    await client.query(`set local statement_timeout = '120s'`);
    const deltas = await uncommitted(client, deps);
    const bounds = [slice.from, slice.to, slice.granularity, slice.productGranularity];
    const logged = z.array(row).parse((await client.query(LOGGED, [...bounds, monthsOf(slice)])).rows);
    const counted = z.array(row).parse((await client.query(COUNTED, [...bounds, loggedKind.options])).rows);
    const differences = new Map<string, Row>();
    const add = (one: Row, sign: 1 | -1): void => void differences.set(keyOf(one), { ...one, by: (differences.get(keyOf(one))?.by ?? 0) + sign * one.by });
    for (const one of logged) add(one, 1);
    for (const one of [...counted, ...waiting(deltas, slice)]) add(one, -1);
    const wrong = [...differences.values()].filter(({ by }) => by !== 0);
    await addDeltas(client, wrong.flatMap(toDelta), deps.retention, nowMs);
    if (slice.to - slice.from === DAY_MS && slice.to <= floor(nowMs, DAY_MS) - DAY_MS) await recountUsers(client, slice);
    const sum = (sign: 1 | -1): number => wrong.reduce((total, { sku, by }) => (sku === null && by * sign > 0 ? total + by * sign : total), 0);
    return { added: sum(1), removed: sum(-1) };
  });
}

function toDelta({ at, kind, sku, by }: Row): readonly Delta[] {
  if (sku === null) return [{ of: 'kind', at, kind, by }];
  return kind === 'rate' ? [] : [{ of: 'product', at, kind, sku, by }];
}

/** Of days that are counted no more. */
async function recountUsers(client: PoolClient, slice: Slice): Promise<void> {
  await client.query(`delete from events.analytics_users where day = (to_timestamp($1::float8 / 1000) at time zone 'UTC')::date`, [slice.from]);
  await client.query(
    `insert into events.analytics_users (day, source, users) select (to_timestamp($1::float8 / 1000) at time zone 'UTC')::date, $4, count(distinct user_id) from events.interaction_logs
     where month = any($3::date[]) and ts >= to_timestamp($1::float8 / 1000) and ts < to_timestamp($2::float8 / 1000) having count(*) > 0`,
    [slice.from, slice.to, monthsOf(slice), `${interactions.name}:log`],
  );
}

/**
 * Makes the counts of interactions equal to the log, day by day, each in one transaction: what differs is added or taken away, in every granularity. Repeating changes nothing. Whole hours in
 * the time of which minutes are kept, whole days before. Old events must not be coming in for that time meanwhile: those on their way may count twice or not at all until the next recount.
 * @throws AppError invalid_request, or unavailable while events are on their way
 */
export async function recount(deps: RecountDeps, range: { readonly from: string; readonly to: string }): Promise<Recounted> {
  const nowMs = (deps.now ?? Date.now)();
  const [from, to] = [Date.parse(range.from), Math.min(Date.parse(range.to), nowMs - SETTLED_MS)];
  if (!(from < Date.parse(range.to))) throw refuse('/from', 'must be before to');
  if (from < Date.UTC(2000, 0, 1)) throw refuse('/from', 'must be after 1999');
  if ((to - from) / DAY_MS > MAX_DAYS) throw refuse('/from', `is more than ${MAX_DAYS} days before to: recount in parts`);
  const slices = slicesOf(from, to, deps.retention, nowMs);
  const [first, last] = [slices[0], slices.at(-1)];
  if (first === undefined || last === undefined) throw refuse('/to', 'leaves no whole hour that ended at least 5 minutes ago (before the last two days: no whole day)');
  if (Math.max(...(await deps.lagsMs())) > MAX_LAG_MS) throw new AppError('unavailable', 'events are still on their way into the log or the counts: try again when the lag is below a minute', { headers: { 'Retry-After': '30' } });
  let [added, removed] = [0, 0];
  for (const slice of slices) {
    const changed = await recountSlice(deps, slice, nowMs);
    added += changed.added;
    removed += changed.removed;
  }
  return { from: first.from, to: last.to, added, removed };
}
