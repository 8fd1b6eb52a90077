import { sql } from 'kysely';
import type { Kysely } from 'kysely';

/** Publishable keys: those with origins. They may send the listed types of events, from pages of these origins, and nothing else. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table gateway.api_keys add column origins text[], add column event_types text[],
    add constraint api_keys_publishable check (
      (origins is null and event_types is null)
      or (origins is not null and event_types is not null and cardinality(origins) > 0 and cardinality(event_types) > 0 and scopes = array['events:write']))`.execute(db);
}
