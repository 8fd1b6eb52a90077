import type { CatalogueTrace } from '@millrace/contracts';
import { sql } from 'kysely';
import type { RawBuilder } from 'kysely';
import type { CatalogDb } from './database.ts';

const iso = (column: string): RawBuilder<string> => sql<string>`to_char(${sql.ref(column)} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;

type Row = NonNullable<CatalogueTrace['row']>;
type Waiting = CatalogueTrace['outbox']['waiting'][number];
type Published = NonNullable<CatalogueTrace['outbox']['published']>;

/** Deleted ones too. */
export async function findTracedRow(db: CatalogDb, sku: string): Promise<Row | undefined> {
  const found = await sql<Row>`
    select p.version, p.content_version, p.status, p.deleted_at is not null as deleted, ${iso('p.updated_at')} as updated_at from catalog.products p where p.sku = ${sku}`.execute(db);
  return found.rows[0];
}

/** Oldest first, at most ten. The outbox is short: rows stay for milliseconds, unless Redis is away. */
export async function findWaitingEvents(db: CatalogDb, sku: string): Promise<readonly Waiting[]> {
  const found = await sql<Waiting>`select o.event_type, o.version, ${iso('o.created_at')} as created_at from catalog.outbox o where o.key = ${sku} order by o.seq limit 10`.execute(db);
  return found.rows;
}

/** The last event that was published in the hour after the row's last change. There is no index by key: an hour is what one partition holds. */
export async function findLastPublished(db: CatalogDb, sku: string, updatedAt: string): Promise<Published | undefined> {
  const found = await sql<Published>`
    select p.event_id::text as event_id, p.event_type, p.version, ${iso('p.created_at')} as created_at, ${iso('p.published_at')} as published_at
    from catalog.outbox_published p
    where p.published_at >= ${updatedAt}::timestamptz and p.published_at < ${updatedAt}::timestamptz + interval '1 hour' and p.key = ${sku}
    order by p.seq desc limit 1`.execute(db);
  return found.rows[0];
}
