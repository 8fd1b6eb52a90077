import { asEntries } from '@millrace/redis-kit';
import type { Keys, Redis, TopicKeys } from '@millrace/redis-kit';
import { everyPartition, groupNames, keysOf, partitionKeys, partitionOf, peekLayout, readLayout } from '../redis/layout.ts';
import type { Layout } from '../redis/layout.ts';
import { appendEntry, replaceLetterData, replayLetter } from '../redis/scripts/dead-letters.ts';
import type { Topic } from '../topic.ts';
import { BusAdminError } from './bus-admin.ts';
import { keyOfLetter, ownFields } from './dead-letters.ts';
import type { Box, LetterStore } from './dead-letters.ts';

export interface RedisLettersOptions {
  readonly redis: Redis;
  readonly keys: Keys;
}

const MAX_MOVES = 5;

/** Dead letters as streams: one for each group and partition. */
export function createRedisLetters({ redis, keys }: RedisLettersOptions): LetterStore {
  const partition = (box: Box): TopicKeys => partitionKeys(keys, box.topic, box.partition);
  const lettersOf = (box: Box): string => partition(box).deadLetters(box.group);
  return {
    async boxes(definition, wantedGroup) {
      const layout = await peekLayout(redis, keys, definition.name);
      const groups = wantedGroup === undefined ? await groupsOf(redis, keys, definition, layout) : [wantedGroup];
      return groups.flatMap((group) => everyPartition(keys, definition.name, layout).map(({ name }) => ({ definition, topic: definition.name, group, partition: name })));
    },
    async range(box, { from = '-', after, before, count }) {
      return asEntries(await redis.xrange(lettersOf(box), after === undefined ? from : `(${after}`, before === undefined ? '+' : `(${before}`, 'COUNT', count));
    },
    find: async (box, id) => asEntries(await redis.xrange(lettersOf(box), id, id))[0],
    remove: async (box, id) => (await redis.xdel(lettersOf(box), id)) === 1,
    replaceData: async (box, id, text) => String(await replaceLetterData(redis, [lettersOf(box)], [id, text])),
    /** To where the event's key belongs by now. Across partitions a crash in between repeats the event, under its own id. */
    async replay(box, entry) {
      const letters = lettersOf(box);
      for (let attempt = 1; attempt <= MAX_MOVES; attempt += 1) {
        const { id: layoutId, current } = await readLayout(redis, keys, box.topic);
        const target = keysOf(keys, box.topic, current)[partitionOf(keyOfLetter(box.definition, entry) ?? '', current.count)];
        if (!target) throw new RangeError(`the topic ${box.topic} has no partitions`);
        if (target.stream === partition(box).stream) {
          const answer = await replayLetter(redis, [letters, target.stream, target.layout], [entry.id, layoutId]);
          if (answer !== -1) return answer === 1;
        } else {
          if ((await redis.xrange(letters, entry.id, entry.id)).length === 0) return false;
          if ((await appendEntry(redis, [target.stream, target.layout], [layoutId, ...ownFields(entry)])) === 1) return (await redis.xdel(letters, entry.id)) === 1;
        }
      }
      throw new BusAdminError('conflict', `the topic ${box.topic} moves to other partitions all the time: try again`);
    },
  };
}

async function groupsOf(redis: Redis, keys: Keys, { name }: Topic, { current, draining }: Layout): Promise<readonly string[]> {
  const names = new Set<string>();
  for (const set of draining ? [draining, current] : [current]) {
    for (const { stream } of keysOf(keys, name, set)) for (const group of await groupNames(redis, stream)) names.add(group);
  }
  return [...names].toSorted();
}
