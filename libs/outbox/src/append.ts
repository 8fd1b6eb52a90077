import { asList, asText, defineScript } from '@millrace/redis-kit';
import type { Redis, TopicKeys } from '@millrace/redis-kit';

/** Where a stream stands: whose it is, and the last id that it ever gave. */
export interface StreamState {
  /** Undefined: the key is missing, so this is not the Redis that we wrote to, or it was flushed. */
  readonly epoch: string | undefined;
  /** "0-0" for a stream that is gone or new. */
  readonly lastId: string;
}

export type Appended =
  | { readonly kind: 'ok'; readonly lastId: string }
  | { readonly kind: 'lost'; readonly state: StreamState }
  /** The topic has other partitions by now, or Redis was flushed: nothing was appended. */
  | { readonly kind: 'moved' };

/** What must hold for an append: the epoch is ours, and nothing up to `lastId` has been lost. */
export interface Fence {
  /** The partition's mark: the layout that it belongs to. Empty: not looked at. */
  readonly layoutId: string;
  readonly epoch: string;
  readonly lastId: string;
}

/**
 * KEYS stream, epoch, mark; ARGV layout id ('' = any), our epoch, last id that must be there, newest entries to keep about (0 = all), number of fields, their names, then each entry's
 * values ('' = left out). {'ok', id of the last entry} | {'lost', epoch, last id} | {'moved'}
 */
const append = defineScript(`
if ARGV[1] ~= '' and redis.call('GET', KEYS[3]) ~= ARGV[1] then return {'moved'} end
local last = '0-0'
if redis.call('EXISTS', KEYS[1]) == 1 then
  local info = redis.call('XINFO', 'STREAM', KEYS[1])
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then last = info[i + 1] end
  end
end
local function split(id)
  local ms, number = string.match(id, '(%d+)-(%d+)')
  return tonumber(ms), tonumber(number)
end
local epoch = redis.call('GET', KEYS[2])
local ms, number = split(last)
local wantedMs, wantedNumber = split(ARGV[3])
if epoch ~= ARGV[2] or ms < wantedMs or (ms == wantedMs and number < wantedNumber) then return {'lost', epoch or '', last} end
local width = tonumber(ARGV[5])
if width == 0 then return {'ok', last} end
local call, values = redis.call, ARGV
local entry = {'XADD', KEYS[1], '*'}
for i = 6 + width, #values, width do
  local n = 3
  for j = 0, width - 1 do
    local value = values[i + j]
    if value ~= '' then
      entry[n + 1] = values[6 + j]
      entry[n + 2] = value
      n = n + 2
    end
  end
  last = call(unpack(entry, 1, n))
end
if tonumber(ARGV[4]) > 0 then call('XTRIM', KEYS[1], 'MAXLEN', '~', ARGV[4]) end
return {'ok', last}`);

export interface Entries {
  readonly names: readonly string[];
  /** The entries' values one after the other, as many for each as there are names. */
  readonly values: readonly string[];
  /** The stream keeps about so many newest entries, read or not; default: all. */
  readonly maxLength?: number | undefined;
}

/**
 * Appends all entries or none, in order, only if the fence holds. Without entries: only the check.
 * Rejects where Redis does not answer within `timeoutMs`; the entries may have been appended then.
 */
export async function appendFenced(redis: Redis, keys: TopicKeys, fence: Fence, { names, values, maxLength = 0, timeoutMs }: Entries & { readonly timeoutMs: number }): Promise<Appended> {
  const reply = append(redis, [keys.stream, keys.epoch, keys.layout], [fence.layoutId, fence.epoch, fence.lastId, maxLength, names.length, ...names, ...values]);
  const [kind, first, second] = asList(await within(timeoutMs, reply));
  if (kind === 'moved') return { kind: 'moved' };
  if (kind === 'ok') return { kind: 'ok', lastId: asText(first) };
  return { kind: 'lost', state: { epoch: asText(first) === '' ? undefined : asText(first), lastId: asText(second) } };
}

/** The same look without a fence. */
export async function readStreamState(redis: Redis, keys: TopicKeys, timeoutMs: number): Promise<StreamState> {
  // No epoch is empty text, so the fence cannot hold.
  const answer = await appendFenced(redis, keys, { layoutId: '', epoch: '', lastId: '0-0' }, { names: [], values: [], timeoutMs });
  if (answer.kind !== 'lost') throw new Error('an empty epoch was accepted');
  return answer.state;
}

export class RedisTimeoutError extends Error {
  override readonly name = 'RedisTimeoutError';
}

/** Rejects after the time; what it waits for goes on. */
export async function within<T>(timeoutMs: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new RedisTimeoutError(`the broker did not answer within ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
