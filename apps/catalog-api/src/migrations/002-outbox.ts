import { createOutboxTables } from '@millrace/outbox';
import { sql } from 'kysely';
import type { Kysely } from 'kysely';

/** Statement triggers write the outbox rows: a product change and its event commit together or not at all. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await createOutboxTables(db, { schema: 'catalog' });
  for (const statement of triggers) await sql.raw(statement).execute(db);
}

const columns = 'stream, event_type, key, version, data, traceparent';
const data = (row: string): string => `case when ${row}.deleted_at is null then catalog.product_json(${row})::text else json_build_object('id', ${row}.sku)::text end`;
const traceparent = `nullif(current_setting('millrace.traceparent', true), '')`;

const triggers = [
  `create function catalog.outbox_inserted_products() returns trigger language plpgsql as $$
   begin
     insert into catalog.outbox (${columns})
       select 'product:updates', 'create', n.sku, n.version, ${data('n')}, ${traceparent}
       from inserted n where n.deleted_at is null order by n.version;
     return null;
   end $$`,
  `create function catalog.outbox_updated_products() returns trigger language plpgsql as $$
   begin
     insert into catalog.outbox (${columns})
       select 'product:updates',
         case when n.deleted_at is not null then 'delete' when o.deleted_at is not null then 'create' else 'update' end,
         n.sku, n.version, ${data('n')}, ${traceparent}
       from updated n join previous o using (sku) order by n.version;
     return null;
   end $$`,
  `create trigger outbox_inserted after insert on catalog.products referencing new table as inserted
     for each statement execute function catalog.outbox_inserted_products()`,
  `create trigger outbox_updated after update on catalog.products referencing old table as previous new table as updated
     for each statement execute function catalog.outbox_updated_products()`,
];
