import { CAMPAIGN_SEGMENT, SEGMENT_LIMITS, segmentSchema } from '@millrace/contracts';
import type { NewSegment, Segment } from '@millrace/contracts';
import { UNIQUE_VIOLATION, isViolation } from '@millrace/database';
import { checkIfMatch } from '@millrace/http';
import { AppError, notFound } from '@millrace/service';
import type { Pool, QueryResult } from 'pg';

/** Versions that a writer takes to be the current one. */
export type AcceptedVersions = '*' | readonly number[];

const iso = (column: string): string => `to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as ${column}`;
const COLUMNS = `id, version, name, description, query, order_by, row_limit as "limit", columns, is_shipped, created_by, ${iso('created_at')}, ${iso('updated_at')}, last_count`;
const unknown = (id: number): Error => notFound(`the segment ${id}`);

/** Saved segments are in Postgres alone. */
async function ask(pool: Pool, text: string, values: readonly unknown[]): Promise<QueryResult<Record<string, unknown>>> {
  return await pool.query<Record<string, unknown>>(text, [...values]).catch((error: unknown) => {
    if (isViolation(error, UNIQUE_VIOLATION)) throw new AppError('duplicate', 'another segment has this name', { cause: error, details: [{ in: 'body', pointer: '/name', detail: 'is the name of another segment' }] });
    throw new AppError('unavailable', 'saved segments cannot be read or written now', { cause: error, headers: { 'Retry-After': '2' } });
  });
}

const toSegment = (row: unknown): Segment => segmentSchema.parse(row);
const contentOf = ({ name, description, query, order_by: orderBy, limit, columns }: NewSegment): unknown[] => [name, description, JSON.stringify(query), JSON.stringify(orderBy), limit, columns];

/** By id, after the given one. */
export async function listSegments(pool: Pool, { after, limit }: { readonly after: number; readonly limit: number }): Promise<readonly Segment[]> {
  const { rows } = await ask(pool, `select ${COLUMNS} from ut360.segments where id > $1 order by id limit $2`, [after, limit]);
  return rows.map(toSegment);
}

export async function getSegment(pool: Pool, id: number): Promise<Segment> {
  const { rows } = await ask(pool, `select ${COLUMNS} from ut360.segments where id = $1`, [id]);
  if (rows[0] === undefined) throw unknown(id);
  return toSegment(rows[0]);
}

/** Throws duplicate (name), conflict (there are as many as there may be). */
export async function insertSegment(pool: Pool, segment: NewSegment, createdBy: string): Promise<Segment> {
  const { rows } = await ask(pool, `
    insert into ut360.segments (name, description, query, order_by, row_limit, columns, created_by)
    select $1, $2, $3::json, $4::json, $5::int, $6::text[], $7 where (select count(*) from ut360.segments) < ${SEGMENT_LIMITS.segments} returning ${COLUMNS}`, [...contentOf(segment), createdBy]);
  if (rows[0] === undefined) throw new AppError('conflict', `there are ${SEGMENT_LIMITS.segments} segments already, and there cannot be more: delete some that are no longer needed`);
  return toSegment(rows[0]);
}

/** Why a write has found no row. */
async function refuse(pool: Pool, id: number, accepted: AcceptedVersions): Promise<never> {
  const { version, is_shipped: isShipped } = await getSegment(pool, id);
  if (isShipped) throw new AppError('conflict', `the segment ${CAMPAIGN_SEGMENT} comes with Millrace and stays as it is: save a copy of it under another name`);
  checkIfMatch(accepted, { version, content_version: version });
  throw new AppError('conflict', 'the segment was changed at the same moment: try again', { headers: { 'Retry-After': '1' } });
}

const versionsOf = (accepted: AcceptedVersions): readonly number[] | null => (accepted === '*' ? null : accepted);

/** Throws not_found, precondition_failed (its version is not accepted), conflict (it ships), duplicate (name). */
export async function replaceSegment(pool: Pool, id: number, segment: NewSegment, accepted: AcceptedVersions): Promise<Segment> {
  const { rows } = await ask(pool, `
    update ut360.segments set name = $1, description = $2, query = $3::json, order_by = $4::json, row_limit = $5, columns = $6,
      version = nextval('ut360.segment_versions'), updated_at = now(), last_count = null
    where id = $7 and not is_shipped and ($8::bigint[] is null or version = any($8)) returning ${COLUMNS}`, [...contentOf(segment), id, versionsOf(accepted)]);
  return rows[0] === undefined ? await refuse(pool, id, accepted) : toSegment(rows[0]);
}

export async function deleteSegment(pool: Pool, id: number, accepted: AcceptedVersions): Promise<void> {
  const { rowCount } = await ask(pool, `delete from ut360.segments where id = $1 and not is_shipped and ($2::bigint[] is null or version = any($2))`, [id, versionsOf(accepted)]);
  if (rowCount === 0) await refuse(pool, id, accepted);
}

/** Keeps how many matched, unless the segment was changed since, or another instance counted a newer generation. It changes neither version nor time. */
export async function storeCount(pool: Pool, { id, version }: Pick<Segment, 'id' | 'version'>, count: NonNullable<Segment['last_count']>): Promise<void> {
  await ask(pool, `update ut360.segments set last_count = $3::json where id = $1 and version = $2 and coalesce(last_count ->> 'counted_at', '') <= $4`, [id, version, JSON.stringify(count), count.counted_at]);
}
