import { defineScript } from '@millrace/redis-kit';
import type { RedisScript } from '@millrace/redis-kit';

/**
 * A script of a group's consumer: its last key is the partition's lease and its last argument what the consumer believes to hold ('' where the
 * group has no leases). They run on a full Redis too: consuming is what makes room. A consumer whose lease has gone to another (it stood still, or was cut off) changes nothing: it gets FENCED.
 */
export const defineFencedScript = (lua: string): RedisScript =>
  defineScript(`
local held, lease = table.remove(ARGV), table.remove(KEYS)
if held ~= '' and redis.call('GET', lease) ~= held then return redis.error_reply('FENCED the lease of the partition has gone to another consumer') end
${lua}`, { whenFull: 'run' });
