import { asFields, asList, createKeys } from '@millrace/redis-kit';
import { keysOf, peekLayout } from '@millrace/bus';
import type { Redis } from '@millrace/redis-kit';
import { GROUP } from './consumer-settings.ts';
import type { Truth } from './truth.ts';

const keys = createKeys();

/** Where everything stands, for a run that does not go on: what waits, for what, and who holds it. */
export async function describeStanding(redis: Redis, { pool, schema }: Truth, topic: string): Promise<string> {
  const ask = async (query: string): Promise<readonly string[]> => (await pool.query<Record<string, unknown>>(query)).rows.map((found) => JSON.stringify(found));
  const lines = [
    ...(await ask(`select (select count(*) from ${schema}.outbox) as outbox, (select count(*) from ${schema}.changes) as changes, (select count(*) from ${schema}.effects) as effects, (select max(at) from ${schema}.effects) as last_effect, now() as now`)),
    ...(await ask(`select stream, epoch, republish_from from ${schema}.relay_state`)),
    ...(await ask(`select max(id) as last_batch, max(published_at) as at from ${schema}.relay_batches`)),
    ...(await ask(`select pid, application_name, state, wait_event_type, wait_event, now() - state_change as since, pg_blocking_pids(pid) as blocked_by, left(query, 80) as query
      from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and state <> 'idle'`)),
  ];
  for (const of of keysOf(keys, topic, (await peekLayout(redis, keys, topic)).current)) {
    const groups = asList(await redis.xinfo('GROUPS', of.stream)).map(asFields);
    const consumers = asList(await redis.xinfo('CONSUMERS', of.stream, GROUP)).map(asFields);
    const oldest = await redis.xpending(of.stream, GROUP, '-', '+', 5);
    lines.push(`${of.stream}: ${await redis.xlen(of.stream)} entries, ${JSON.stringify([...groups, ...consumers].map((fields) => Object.fromEntries(fields)))}, oldest pending ${JSON.stringify(oldest)}`);
  }
  lines.push(String(await redis.call('CLIENT', 'LIST')));
  return lines.join('\n');
}
