import { sql } from 'kysely';
import type { RawBuilder } from 'kysely';

/** A timestamptz column as ISO 8601 in UTC with its microseconds; null stays null. */
export const isoTime = (column: string): RawBuilder<string> => sql<string>`to_char(${sql.ref(column)} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;
