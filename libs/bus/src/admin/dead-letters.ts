import { decodeEntry } from '../codec.ts';
import type { RawEntry } from '../codec.ts';
import { shownReason } from '../errors.ts';
import type { Topic } from '../topic.ts';
import { BusAdminError } from './bus-admin.ts';
import type { BusAdmin, ChangedDeadLetters, DeadLetterChoice, DeadLetterDetail, DeadLetterFilter } from './bus-admin.ts';
import { formatDeadLetterId, parseDeadLetterId } from './dead-letter-id.ts';
import type { DeadLetterPlace } from './dead-letter-id.ts';

/** The dead letters of one group on one partition, whether the topic still has that partition or not. */
export interface Box extends Omit<DeadLetterPlace, 'entryId'> {
  readonly definition: Topic;
}

/** Which entries of a box: `from` and `after` are ids or milliseconds, `before` milliseconds. */
export interface LetterRange {
  readonly from?: string;
  readonly after?: string;
  readonly before?: string;
  readonly count: number;
}

/** Where dead letters are: what an engine has to know. An entry has our seven fields first (LETTER_FIELDS), then its own; ids begin with the milliseconds of its parking. */
export interface LetterStore {
  /** Every box of the topic that may have letters: of the groups that there are, on the partitions that the topic has or ever had; of that group where one is given. */
  boxes(topic: Topic, group?: string): Promise<readonly Box[]>;
  /** Oldest first. */
  range(box: Box, range: LetterRange): Promise<readonly RawEntry[]>;
  find(box: Box, entryId: string): Promise<RawEntry | undefined>;
  /** False where it was not there any more. */
  remove(box: Box, entryId: string): Promise<boolean>;
  /** Replaces the wire's `data`. The letter's new id. */
  replaceData(box: Box, entryId: string, text: string): Promise<string>;
  /** Appends the entry's own fields to the topic again and removes the letter. False where it was not there any more. */
  replay(box: Box, entry: RawEntry): Promise<boolean>;
}

/** reason, source_id, group, consumer, attempts, first_seen, last_seen. */
export const LETTER_FIELDS = 7;

export interface DeadLettersOptions {
  readonly store: LetterStore;
  readonly topics: readonly Topic[];
  readonly topicOf: (name: string) => Topic;
}

type DeadLetters = Pick<BusAdmin, 'listDeadLetters' | 'getDeadLetter' | 'editDeadLetter' | 'replayDeadLetters' | 'discardDeadLetters'>;

interface Letter {
  readonly box: Box;
  readonly entry: RawEntry;
}

const PAGE = 500;
const MASK = '***';

export function createDeadLetters(options: DeadLettersOptions): DeadLetters {
  const { store, topicOf } = options;
  const find = async (id: string): Promise<Letter | undefined> => {
    const place = parseDeadLetterId(id);
    const box: Box = { topic: place.topic, partition: place.partition, group: place.group, definition: topicOf(place.topic) };
    const entry = await store.find(box, place.entryId);
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
      const decoded = decodeEntry(box.definition, { id: entry.id, fields: [...ownFields(entry), 'data', text] });
      if (decoded.kind === 'park') throw new BusAdminError('invalid', `the topic ${box.topic} would park it again: ${decoded.reason}`, '/data');
      const newId = await store.replaceData(box, entry.id, text);
      return describe(await get(formatDeadLetterId({ ...box, entryId: newId })));
    },
    replayDeadLetters: (choice, { dryRun = false } = {}) => change(choice, dryRun, ({ box, entry }) => store.replay(box, entry)),
    discardDeadLetters: (choice, { dryRun = false } = {}) => change(choice, dryRun, ({ box, entry }) => store.remove(box, entry.id)),
  };
}

const withoutFields = ({ fields: _fields, ...state }: DeadLetterDetail): Omit<DeadLetterDetail, 'fields'> => state;

/** The entry's own fields, without ours. */
export const ownFields = ({ fields }: RawEntry): readonly string[] => fields.slice(2 * LETTER_FIELDS);

const recordOf = (flat: readonly string[]): Record<string, string> =>
  Object.fromEntries(flat.flatMap((name, index): [string, string][] => (index % 2 === 0 ? [[name, flat[index + 1] ?? '']] : [])));

export const keyOfLetter = (topic: Topic, entry: RawEntry): string | undefined => recordOf(ownFields(entry))[topic.options.keyField ?? 'key'];

function describe({ box, entry }: Letter): DeadLetterDetail {
  const ours = recordOf(entry.fields.slice(0, 2 * LETTER_FIELDS));
  const fields = recordOf(ownFields(entry));
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

/** As the beginning of a stream's id, which knows no time before 1970. */
const stampOf = (time: string): number => Math.max(0, Date.parse(time));

/** Letters that fit the filter, box by box, oldest first in each; behind `cursor` (the id of one) where it is given. */
async function* matching(options: DeadLettersOptions, filter: DeadLetterFilter, cursor?: string): AsyncGenerator<Letter> {
  const { store, topics, topicOf } = options;
  const after = cursor === undefined ? undefined : parseDeadLetterId(cursor);
  let isBehind = after === undefined;
  const before = filter.until === undefined ? {} : { before: String(stampOf(filter.until)) };
  for (const topic of filter.topic === undefined ? topics : [topicOf(filter.topic)]) {
    for (const box of await store.boxes(topic, filter.group)) {
      const isCursors = after?.topic === box.topic && after.group === box.group && after.partition === box.partition;
      if (!isBehind && !isCursors) continue;
      isBehind = true;
      let start: Pick<LetterRange, 'from' | 'after'> = isCursors ? { after: after.entryId } : filter.since === undefined ? {} : { from: String(stampOf(filter.since)) };
      for (let isMore = true; isMore; ) {
        const entries = await store.range(box, { ...start, ...before, count: PAGE });
        for (const entry of entries) if (fits(topic, entry, filter)) yield { box, entry };
        start = { after: entries.at(-1)?.id ?? '' };
        isMore = entries.length === PAGE;
      }
    }
  }
}

/** What is masked cannot be searched for either: who guesses must not be told that a guess is right. */
function fits(topic: Topic, entry: RawEntry, { reason, key }: DeadLetterFilter): boolean {
  const because = shownReason(topic, recordOf(entry.fields.slice(0, 2 * LETTER_FIELDS))['reason']);
  if (topic.options.isPersonal === true && key !== undefined) return false;
  return (reason === undefined || because.toLowerCase().includes(reason.toLowerCase())) && (key === undefined || keyOfLetter(topic, entry) === key);
}
