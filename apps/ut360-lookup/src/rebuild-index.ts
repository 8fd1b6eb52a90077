import { sendByNode } from '@millrace/redis-kit';
import type { Keys, Redis } from '@millrace/redis-kit';
import { qualified } from '@millrace/subscribers';
import type { Pointer } from '@millrace/subscribers';
import type { Pool } from 'pg';
import { indexKey } from './index-members.ts';
import type { IndexName } from './index-members.ts';

const CHUNK = 5_000;
const COLUMNS: Readonly<Record<IndexName['kind'], string>> = { service: 'service_type', risk: 'bad_debt_risk', cluster: 'cluster_group' };

/** Fills one index from Postgres, and takes out what does not belong there. Readers ask Postgres until it is whole. Safe to call twice. */
export async function rebuildIndex({ redis, keys, pool }: { readonly redis: Redis; readonly keys: Keys; readonly pool: Pool }, pointer: Pointer, name: IndexName): Promise<number> {
  const key = indexKey(keys.subscribers(pointer.redis), name);
  await sendByNode(redis, [{ key, name: 'UNLINK', args: [key] }]);
  let after = '';
  let done = 0;
  for (;;) {
    const { rows } = await pool.query<{ isdn: string; priority: string | null }>(
      `select isdn, priority_score::text as priority from ${qualified('recommendations', pointer.recommendations)} where ${COLUMNS[name.kind]} = $1 and isdn > $2 order by isdn limit ${CHUNK}`, [name.value, after],
    );
    const last = rows.at(-1);
    if (last === undefined) return done;
    const args = rows.flatMap(({ isdn, priority }) => (name.kind === 'service' ? [priority ?? '0', isdn] : [isdn]));
    await sendByNode(redis, [{ key, name: name.kind === 'service' ? 'ZADD' : 'SADD', args: [key, ...args] }]);
    after = last.isdn;
    done += rows.length;
  }
}
