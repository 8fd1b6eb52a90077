import { sendByNode } from '@millrace/redis-kit';
import type { Keys, Redis } from '@millrace/redis-kit';
import { qualified, readPointer } from '@millrace/subscribers';
import type { Pointer } from '@millrace/subscribers';
import type { Pool } from 'pg';
import { indexKey } from './index-members.ts';
import type { IndexName } from './index-members.ts';

const CHUNK = 5_000;
const COLUMNS: Readonly<Record<IndexName['kind'], string>> = { service: 'service_type', risk: 'bad_debt_risk', cluster: 'cluster_group' };

/**
 * Fills one index from Postgres, and takes out what does not belong there. Readers ask Postgres until it is whole. Safe to call twice. Of a
 * generation that is not live (any more) it leaves nothing: nobody would remove it.
 */
export async function rebuildIndex({ redis, keys, pool }: { readonly redis: Redis; readonly keys: Keys; readonly pool: Pool }, pointer: Pointer, name: IndexName): Promise<number> {
  const key = indexKey(keys.subscribers(pointer.redis), name);
  const clear = (): Promise<unknown> => sendByNode(redis, [{ key, name: 'UNLINK', args: [key] }]);
  const isLive = async (): Promise<boolean> => (await readPointer(pool)).redis === pointer.redis;
  if (!(await isLive())) return 0;
  await clear();
  let after = '';
  let done = 0;
  for (;;) {
    const { rows } = await pool.query<{ isdn: string; priority: string | null }>(
      `select isdn, priority_score::text as priority from ${qualified('recommendations', pointer.recommendations)} where ${COLUMNS[name.kind]} = $1 and isdn > $2 order by isdn limit ${CHUNK}`, [name.value, after],
    );
    const last = rows.at(-1);
    if (last === undefined) {
      if (await isLive()) return done;
      await clear();
      return 0;
    }
    const args = rows.flatMap(({ isdn, priority }) => (name.kind === 'service' ? [priority ?? '0', isdn] : [isdn]));
    await sendByNode(redis, [{ key, name: name.kind === 'service' ? 'ZADD' : 'SADD', args: [key, ...args] }]);
    after = last.isdn;
    done += rows.length;
  }
}
