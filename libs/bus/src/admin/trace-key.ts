import { asFields, asList, asText, asTexts, compareStreamIds } from '@millrace/redis-kit';
import type { Keys, Redis, TopicKeys } from '@millrace/redis-kit';
import { keysOf, partitionOf, peekLayout } from '../redis/layout.ts';
import type { PartitionSet } from '../redis/layout.ts';
import { findKey } from '../redis/scripts/find-key.ts';
import type { Topic } from '../topic.ts';
import type { KeyTrace, TracedEntry, TracedState } from './bus-admin.ts';

const PAGE = 500;
/** Entries of one stream that are looked at: what a topic keeps after every group has acknowledged it, twice over. */
const MAX_SEEN = 20_000;

interface Found extends Omit<TracedEntry, 'groups'> {}

async function entriesOf(redis: Redis, of: TopicKeys, { keyField, key, limit }: { keyField: string; key: string; limit: number }): Promise<{ found: readonly Found[]; isComplete: boolean }> {
  const found: Found[] = [];
  let seen = 0;
  for (let from = '+'; ; ) {
    const [count, next, entries] = asList(await findKey(redis, [of.stream], [keyField, key, from, PAGE]));
    for (const entry of asList(entries)) {
      const [id = '', eventType = '', eventId = '', version = '', timestamp = ''] = asTexts(entry);
      found.push({ id, eventType, eventId, version: version === '' ? undefined : Number(version), timestamp });
    }
    seen += Number(count);
    if (Number(count) < PAGE) return { found: found.slice(0, limit), isComplete: found.length <= limit };
    if (found.length >= limit || seen >= MAX_SEEN) return { found: found.slice(0, limit), isComplete: false };
    from = asText(next);
  }
}

interface Reading { readonly group: string; readonly delivered: string }

async function stateOf(redis: Redis, of: TopicKeys, { group, delivered }: Reading, id: string): Promise<TracedState> {
  if (compareStreamIds(id, delivered) > 0) return { group, state: 'unread', consumer: undefined, idleMs: undefined };
  const [[pending], due] = await Promise.all([redis.xpending(of.stream, group, id, id, 1), redis.zscore(of.delayed(group), id)]);
  if (pending === undefined) return { group, state: 'acknowledged', consumer: undefined, idleMs: undefined };
  const [, consumer, idleMs] = asList(pending);
  return { group, state: due === null ? 'pending' : 'delayed', consumer: asText(consumer), idleMs: Number(idleMs) };
}

async function traceStream(redis: Redis, of: TopicKeys, { topic, key, limit, partition }: { topic: Topic; key: string; limit: number; partition: number }): Promise<KeyTrace> {
  if ((await redis.exists(of.stream)) === 0) return { stream: of.stream, partition, entries: [], isComplete: true };
  const { found, isComplete } = await entriesOf(redis, of, { keyField: topic.options.keyField ?? 'key', key, limit });
  const groups = asList(await redis.xinfo('GROUPS', of.stream)).map(asFields).map((fields): Reading => ({ group: asText(fields.get('name')), delivered: asText(fields.get('last-delivered-id')) }));
  const entries = await Promise.all(found.map(async (entry) => ({ ...entry, groups: await Promise.all(groups.map((group) => stateOf(redis, of, group, entry.id))) })));
  return { stream: of.stream, partition, entries, isComplete };
}

/** The last entries of one key on the partitions that it belongs to, and what each group has done with them. */
export async function traceKey({ redis, keys }: { readonly redis: Redis; readonly keys: Keys }, topic: Topic, key: string, limit: number): Promise<readonly KeyTrace[]> {
  const { current, draining } = await peekLayout(redis, keys, topic.name);
  const sets: readonly PartitionSet[] = draining ? [draining, current] : [current];
  return Promise.all(sets.map((set) => {
    const at = partitionOf(key, set.count);
    const of = keysOf(keys, topic.name, set)[at];
    if (!of) throw new RangeError(`the topic ${topic.name} has no partitions`);
    return traceStream(redis, of, { topic, key, limit, partition: set.first + at });
  }));
}
