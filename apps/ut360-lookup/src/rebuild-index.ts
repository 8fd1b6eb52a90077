import { defineScript, sendByNode } from '@millrace/redis-kit';
import type { Keys, Redis } from '@millrace/redis-kit';
import { qualified, readPointer } from '@millrace/subscribers';
import type { IsErased, Pointer } from '@millrace/subscribers';
import type { Pool } from 'pg';
import { indexKey } from './index-members.ts';
import type { IndexName } from './index-members.ts';

const CHUNK = 5_000;

/** Only while the pointer is the one that the rows were read under: who was erased since must not come back. Lua takes some thousand arguments at once. */
const addIfLive = defineScript(`
local pointer = redis.call('GET', KEYS[1])
if not pointer then return 0 end
local ok, known = pcall(cjson.decode, pointer)
if not ok or type(known) ~= 'table' or tonumber(known.version) ~= tonumber(ARGV[1]) then return 0 end
for from = 3, #ARGV, 1000 do redis.call(ARGV[2], KEYS[2], unpack(ARGV, from, math.min(from + 999, #ARGV))) end
return 1`);
const COLUMNS: Readonly<Record<IndexName['kind'], string>> = { service: 'service_type', risk: 'bad_debt_risk', cluster: 'cluster_group' };

/**
 * Fills one index from Postgres, and takes out what does not belong there. Readers ask Postgres until it is whole. Safe to call twice. Of a
 * generation that is not live (any more) it leaves nothing: nobody would remove it. It ends early where the pointer moves meanwhile: an index that is short then is found by its next reader.
 */
export async function rebuildIndex({ redis, keys, pool, isErased }: { readonly redis: Redis; readonly keys: Keys; readonly pool: Pool; readonly isErased: IsErased }, pointer: Pointer, name: IndexName): Promise<number> {
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
    if (last === undefined) return done;
    const args = rows.filter(({ isdn }) => !isErased(isdn)).flatMap(({ isdn, priority }) => (name.kind === 'service' ? [priority ?? '0', isdn] : [isdn]));
    const added = await addIfLive(redis, [keys.subscriberPointer(`${name.kind}:${name.value}`), key], [pointer.version, name.kind === 'service' ? 'ZADD' : 'SADD', ...args]);
    if (added !== 1) {
      if (!(await isLive())) await clear();
      return done;
    }
    after = last.isdn;
    done += rows.length;
  }
}
