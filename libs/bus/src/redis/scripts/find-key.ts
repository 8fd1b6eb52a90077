import { defineScript } from '@millrace/redis-kit';

/**
 * KEYS stream; ARGV key field, key, from (an id, or "+"), count. Looks at up to \`count\` entries from \`from\` backwards and changes nothing:
 * {how many it saw, where to go on, {entry, …}} with {id, event_type, event id, version, timestamp} of each entry of that key, newest first.
 */
export const findKey = defineScript(`
local seen = redis.call('XREVRANGE', KEYS[1], ARGV[3], '-', 'COUNT', ARGV[4])
local found = {}
for _, entry in ipairs(seen) do
  local fields, flat = {}, entry[2]
  for i = 1, #flat, 2 do fields[flat[i]] = flat[i + 1] end
  if fields[ARGV[1]] == ARGV[2] then
    found[#found + 1] = {entry[1], fields['event_type'] or '', fields['id'] or '', fields['version'] or '', fields['timestamp'] or ''}
  end
end
return {#seen, #seen > 0 and '(' .. seen[#seen][1] or '', found}`, { whenFull: 'run' });
