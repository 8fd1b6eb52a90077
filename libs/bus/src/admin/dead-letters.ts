import { asEntries } from '@millrace/redis-kit';
import type { Keys, Redis, TopicKeys } from '@millrace/redis-kit';
import { decodeEntry } from '../codec.ts';
import type { RawEntry } from '../codec.ts';
import { shownReason } from '../errors.ts';
import { everyPartition, groupNames, keysOf, partitionKeys, partitionOf, peekLayout, readLayout } from '../redis/layout.ts';
import type { Layout } from '../redis/layout.ts';
import { appendEntry, LETTER_FIELDS, replaceLetterData, replayLetter } from '../redis/scripts/dead-letters.ts';
import type { Topic } from '../topic.ts';
import { BusAdminError } from './bus-admin.ts';
import type { BusAdmin, ChangedDeadLetters, DeadLetterChoice, DeadLetterDetail, DeadLetterFilter } from './bus-admin.ts';
import { formatDeadLetterId, parseDeadLetterId } from './dead-letter-id.ts';
import type { DeadLetterPlace } from './dead-letter-id.ts';

export interface DeadLettersOptions {
  readonly redis: Redis;
  readonly keys: Keys;
  readonly topics: readonly Topic[];
  readonly topicOf: (name: string) => Topic;
}

type DeadLetters = Pick<BusAdmin, 'listDeadLetters' | 'getDeadLetter' | 'editDeadLetter' | 'replayDeadLetters' | 'discardDeadLetters'>;

/** The dead letters of one group on one partition, whether the topic still has that partition or not. */
interface Box extends Omit<DeadLetterPlace, 'entryId'> {
  readonly definition: Topic;
  readonly of: TopicKeys;
}

interface Letter {
  readonly box: Box;
  readonly entry: RawEntry;
}

const PAGE = 500;
const MASK = '***';

export function createDeadLetters(options: DeadLettersOptions): DeadLetters {
  const { redis, topicOf } = options;
  const find = async (id: string): Promise<Letter | undefined> => {
    const place = parseDeadLetterId(id);
    const box: Box = { ...place, definition: topicOf(place.topic), of: partitionKeys(options.keys, place.topic, place.partition) };
    const [entry] = asEntries(await redis.xrange(box.of.deadLetters(box.group), place.entryId, place.entryId));
    return entry && { box, entry };
  };
  const get = async (id: string): Promise<Letter> => {
    const letter = await find(id);
    if (!letter) throw new BusAdminError('not_found', `there is no dead letter ${id}: it may have been replayed, edited (which gives it a new id) or discarded`);
    return letter;
  };
  /** Does something to each chosen letter; false: it was not there any more. */
  const change = async (choice: DeadLetterChoice, isDryRun: boolean, act: (letter: Letter) => Promise<boolean>): Promise<ChangedDeadLetters> => {
    let count = 0;
    const missing: string[] = [];
    if ('ids' in choice) {
      for (const id of new Set(choice.ids)) {
        const letter = await find(id);
        if (letter && (isDryRun || (await act(letter)))) count += 1;
        else missing.push(id);
      }
      return { count, missing };
    }
    // What is parked meanwhile is left for the next time: a replay that fails again would never end.
    const until = Date.now();
    for await (const letter of matching(options, choice.filter)) {
      if (Number(letter.entry.id.split('-')[0]) > until) continue;
      if (isDryRun || (await act(letter))) count += 1;
    }
    return { count, missing };
  };
  return {
    async listDeadLetters(filter, { limit, cursor }) {
      const items: DeadLetterDetail[] = [];
      for await (const letter of matching(options, filter, cursor)) {
        if (items.length === limit) return { items: items.map(withoutFields), nextCursor: items.at(-1)?.id };
        items.push(describe(letter));
      }
      return { items: items.map(withoutFields), nextCursor: undefined };
    },
    getDeadLetter: async (id) => describe(await get(id)),
    async editDeadLetter(id, data) {
      const { box, entry } = await get(id);
      const text = JSON.stringify(data);
      const decoded = decodeEntry(box.definition, { id: entry.id, fields: [...own(entry), 'data', text] });
      if (decoded.kind === 'park') throw new BusAdminError('invalid', `the topic ${box.topic} would park it again: ${decoded.reason}`, '/data');
      const newId = String(await replaceLetterData(redis, [box.of.deadLetters(box.group)], [entry.id, text]));
      return describe(await get(formatDeadLetterId({ ...box, entryId: newId })));
    },
    replayDeadLetters: (choice, { dryRun = false } = {}) => change(choice, dryRun, (letter) => replay(options, letter)),
    discardDeadLetters: (choice, { dryRun = false } = {}) => change(choice, dryRun, async ({ box, entry }) => (await redis.xdel(box.of.deadLetters(box.group), entry.id)) === 1),
  };
}

const MAX_MOVES = 5;

/** To where the event's key belongs by now. Across partitions a crash in between repeats the event, under its own id. */
async function replay({ redis, keys }: DeadLettersOptions, { box, entry }: Letter): Promise<boolean> {
  const letters = box.of.deadLetters(box.group);
  for (let attempt = 1; attempt <= MAX_MOVES; attempt += 1) {
    const { id: layoutId, current } = await readLayout(redis, keys, box.topic);
    const target = keysOf(keys, box.topic, current)[partitionOf(keyOf(box.definition, entry) ?? '', current.count)];
    if (!target) throw new RangeError(`the topic ${box.topic} has no partitions`);
    if (target.stream === box.of.stream) {
      const answer = await replayLetter(redis, [letters, target.stream, target.layout], [entry.id, layoutId]);
      if (answer !== -1) return answer === 1;
    } else {
      if ((await redis.xrange(letters, entry.id, entry.id)).length === 0) return false;
      if ((await appendEntry(redis, [target.stream, target.layout], [layoutId, ...own(entry)])) === 1) return (await redis.xdel(letters, entry.id)) === 1;
    }
  }
  throw new BusAdminError('conflict', `the topic ${box.topic} moves to other partitions all the time: try again`);
}

const withoutFields = ({ fields: _fields, ...state }: DeadLetterDetail): Omit<DeadLetterDetail, 'fields'> => state;

/** The entry's own fields, without ours. */
const own = ({ fields }: RawEntry): readonly string[] => fields.slice(2 * LETTER_FIELDS);

const recordOf = (flat: readonly string[]): Record<string, string> =>
  Object.fromEntries(flat.flatMap((name, index): [string, string][] => (index % 2 === 0 ? [[name, flat[index + 1] ?? '']] : [])));

const keyOf = (topic: Topic, entry: RawEntry): string | undefined => recordOf(own(entry))[topic.options.keyField ?? 'key'];

function describe({ box, entry }: Letter): DeadLetterDetail {
  const ours = recordOf(entry.fields.slice(0, 2 * LETTER_FIELDS));
  const fields = recordOf(own(entry));
  const keyField = box.definition.options.keyField ?? 'key';
  const isPersonal = box.definition.options.isPersonal === true;
  const mask = (text: string | undefined): string | undefined => (isPersonal && text !== undefined ? MASK : text);
  const masked = Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, name === 'data' || name === keyField ? (mask(value) ?? '') : value]));
  const time = (ms: string | undefined): string => new Date(Number(ms ?? 0)).toISOString();
  return {
    id: formatDeadLetterId({ ...box, entryId: entry.id }),
    topic: box.topic, partition: box.partition === 'bare' ? 0 : box.partition, group: box.group,
    reason: shownReason(box.definition, ours['reason']),
    sourceId: ours['source_id'] ?? '', consumer: ours['consumer'] ?? '', attempts: Number(ours['attempts'] ?? 0),
    firstSeen: time(ours['first_seen']), lastSeen: time(ours['last_seen']),
    eventType: fields['event_type'], eventId: fields['id'], key: mask(fields[keyField]), fields: masked,
  };
}

/** Every box that may have letters: of the groups that there are, on the partitions that the topic has or ever had. */
async function boxesOf(options: DeadLettersOptions, definition: Topic, wantedGroup: string | undefined): Promise<readonly Box[]> {
  const { redis, keys } = options;
  const layout = await peekLayout(redis, keys, definition.name);
  const groups = wantedGroup === undefined ? await groupsOf(options, definition, layout) : [wantedGroup];
  const partitions = everyPartition(keys, definition.name, layout);
  return groups.flatMap((group) => partitions.map(({ name, of }) => ({ definition, topic: definition.name, group, partition: name, of })));
}

async function groupsOf({ redis, keys }: DeadLettersOptions, { name }: Topic, { current, draining }: Layout): Promise<readonly string[]> {
  const names = new Set<string>();
  for (const set of draining ? [draining, current] : [current]) {
    for (const { stream } of keysOf(keys, name, set)) for (const group of await groupNames(redis, stream)) names.add(group);
  }
  return [...names].toSorted();
}

/** Letters that fit the filter, box by box, oldest first in each; behind `cursor` (the id of one) where it is given. */
async function* matching(options: DeadLettersOptions, filter: DeadLetterFilter, cursor?: string): AsyncGenerator<Letter> {
  const { redis, topics, topicOf } = options;
  const after = cursor === undefined ? undefined : parseDeadLetterId(cursor);
  let isBehind = after === undefined;
  const from = filter.since === undefined ? '-' : String(Date.parse(filter.since));
  const to = filter.until === undefined ? '+' : `(${Date.parse(filter.until)}`;
  for (const topic of filter.topic === undefined ? topics : [topicOf(filter.topic)]) {
    for (const box of await boxesOf(options, topic, filter.group)) {
      const isCursors = after?.topic === box.topic && after.group === box.group && after.partition === box.partition;
      if (!isBehind && !isCursors) continue;
      isBehind = true;
      for (let start = isCursors ? `(${after.entryId}` : from, isMore = true; isMore; ) {
        const entries = asEntries(await redis.xrange(box.of.deadLetters(box.group), start, to, 'COUNT', PAGE));
        for (const entry of entries) if (fits(topic, entry, filter)) yield { box, entry };
        start = `(${entries.at(-1)?.id ?? ''}`;
        isMore = entries.length === PAGE;
      }
    }
  }
}

/** What is masked cannot be searched for either: who guesses must not be told that a guess is right. */
function fits(topic: Topic, entry: RawEntry, { reason, key }: DeadLetterFilter): boolean {
  const because = shownReason(topic, recordOf(entry.fields.slice(0, 2 * LETTER_FIELDS))['reason']);
  if (topic.options.isPersonal === true && key !== undefined) return false;
  return (reason === undefined || because.toLowerCase().includes(reason.toLowerCase())) && (key === undefined || keyOf(topic, entry) === key);
}
