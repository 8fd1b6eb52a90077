import type { Pool, PoolClient } from 'pg';
import { qualified } from '../load/tables.ts';
import { NULL_CELL, createGrouping, encodeSubscriber } from './encode-subscriber.ts';
import type { EncodedSubscriber } from './encode-subscriber.ts';
import type { Pointer, Triple } from './pointer.ts';
import { subscriberQuery } from './subscriber-rows.ts';

/** Everything comes as the text that COPY would write. */
const asText = { getTypeParser: () => (text: string) => text };

/** Subscribers as Redis has them, out of Postgres, by ISDN; those that Postgres does not know are left out. */
export async function readSubscribers(db: Pick<Pool | PoolClient, 'query'>, triple: Triple & Pick<Pointer, 'last_month'>, isdns: readonly string[]): Promise<EncodedSubscriber[]> {
  if (isdns.length === 0) return [];
  const tables = { recommendations: qualified('recommendations', triple.recommendations), profiles: qualified('profiles', triple.profiles), arpu: qualified('arpu', triple.arpu), lastMonth: triple.last_month };
  const { rows } = await db.query<(string | null)[]>({ text: subscriberQuery(tables, '$1::text[]'), values: [isdns], rowMode: 'array', types: asText });
  const grouping = createGrouping();
  return [...rows.map((row) => grouping.add(row.map((cell) => cell ?? NULL_CELL))), grouping.end()].flatMap((found) => (found === undefined ? [] : [encodeSubscriber(found, triple.last_month)]));
}
