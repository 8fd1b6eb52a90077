import { asEntries, asFields, asList, asText, compareStreamIds } from '@millrace/redis-kit';
import type { Keys, Redis, TopicKeys } from '@millrace/redis-kit';
import type { Topic } from '../topic.ts';
import { everyPartition, keysOf, peekLayout } from './layout.ts';

export interface ErasedEntries {
  readonly erased: number;
  /** Entries that a group has not read or acknowledged yet. */
  readonly due: number;
}

export interface EraseEntriesOptions {
  readonly topic: Topic;
  /** By the flat fields of an entry. */
  readonly isTheirs: (fields: ReadonlyMap<string, string>) => boolean;
  /** Entries that groups have not passed go, too: acknowledged for all groups, so that nobody counts them as lost. */
  readonly isForced: boolean;
}

const PAGE = 500;

interface Group { readonly name: string; readonly delivered: string; readonly pending: number }

async function groupsOf(redis: Redis, stream: string): Promise<readonly Group[]> {
  if ((await redis.exists(stream)) === 0) return [];
  return asList(await redis.xinfo('GROUPS', stream)).map((reply) => {
    const fields = asFields(reply);
    return { name: asText(fields.get('name')), delivered: asText(fields.get('last-delivered-id')), pending: Number(fields.get('pending')) };
  });
}

/** Ids of the entries that are theirs. */
async function* findTheirs(redis: Redis, stream: string, isTheirs: EraseEntriesOptions['isTheirs']): AsyncGenerator<readonly string[]> {
  for (let from = '-'; ; ) {
    const entries = asEntries(await redis.call('XRANGE', [stream, from, '+', 'COUNT', PAGE]));
    yield entries.filter(({ fields }) => isTheirs(toMap(fields))).map(({ id }) => id);
    const last = entries.at(-1);
    if (entries.length < PAGE || last === undefined) return;
    from = `(${last.id}`;
  }
}

const toMap = (flat: readonly string[]): ReadonlyMap<string, string> => new Map([...asFields(flat)].map(([name, value]) => [name, asText(value)]));

async function isPending(redis: Redis, stream: string, group: Group, id: string): Promise<boolean> {
  return group.pending > 0 && asList(await redis.call('XPENDING', [stream, group.name, id, id, '1'])).length > 0;
}

/** Has every group read and acknowledged it? What has been, stays so. */
async function isPassed(redis: Redis, stream: string, groups: readonly Group[], id: string): Promise<boolean> {
  for (const group of groups) if (compareStreamIds(id, group.delivered) > 0 || (await isPending(redis, stream, group, id))) return false;
  return true;
}

async function eraseFromStream(redis: Redis, { stream }: TopicKeys, { isTheirs, isForced }: EraseEntriesOptions): Promise<ErasedEntries> {
  const groups = await groupsOf(redis, stream);
  let [erased, due] = [0, 0];
  for await (const ids of findTheirs(redis, stream, isTheirs)) {
    for (const id of ids) {
      if (isForced) for (const { name } of groups) await redis.xack(stream, name, id);
      if (isForced || (await isPassed(redis, stream, groups, id))) erased += await redis.xdel(stream, id);
      else due += 1;
    }
  }
  return { erased, due };
}

/**
 * Removes entries of a topic once every group has acknowledged them; tells how many are still due. Reads the whole streams, in pages of 500. Safe to
 * repeat, and beside consumers: an entry that somebody works on stays.
 */
export async function eraseEntries(redis: Redis, keys: Keys, options: EraseEntriesOptions): Promise<ErasedEntries> {
  const { current, draining } = await peekLayout(redis, keys, options.topic.name);
  let [erased, due] = [0, 0];
  for (const of of [...keysOf(keys, options.topic.name, current), ...(draining ? keysOf(keys, options.topic.name, draining) : [])]) {
    const one = await eraseFromStream(redis, of, options);
    erased += one.erased;
    due += one.due;
  }
  return { erased, due };
}

/** Removes dead letters of a topic, of its groups (those that are there and the given ones) and of every partition it ever had; returns how many. */
export async function eraseDeadLetters(redis: Redis, keys: Keys, { topic, isTheirs, groups: known }: Pick<EraseEntriesOptions, 'topic' | 'isTheirs'> & { readonly groups: readonly string[] }): Promise<number> {
  const layout = await peekLayout(redis, keys, topic.name);
  const partitions = new Map([...everyPartition(keys, topic.name, layout).map(({ of }) => of), ...keysOf(keys, topic.name, layout.current)].map((of) => [of.stream, of]));
  const groups = new Set(known);
  for (const { stream } of partitions.values()) for (const { name } of await groupsOf(redis, stream)) groups.add(name);
  let erased = 0;
  for (const of of partitions.values())
    for (const group of groups)
      for await (const ids of findTheirs(redis, of.deadLetters(group), isTheirs)) if (ids.length > 0) erased += await redis.xdel(of.deadLetters(group), ...ids);
  return erased;
}
