import { LETTER_FIELDS } from '@millrace/bus/engine';
import type { LetterRange, LetterStore } from '@millrace/bus/engine';
import type { RawEntry } from '@millrace/bus';
import { DeliverPolicy } from '@nats-io/jetstream';
import type { PubAck, StoredMsg } from '@nats-io/jetstream';
import { isNoSuchMessage, isNotFound } from './connection.ts';
import type { Connection } from './connection.ts';
import { encodeFields, numberOf, toRawEntry } from './entries.ts';
import type { Groups } from './groups.ts';
import { LETTERS, lettersSubject, token } from './names.ts';
import { readAll } from './read-all.ts';

export interface Parked {
  readonly sourceId: string;
  readonly reason: string;
  readonly consumer: string;
  readonly attempts: number;
  readonly firstMs: number;
  readonly fields: readonly string[];
}

export interface Letters extends LetterStore {
  /** Once for each entry and group: a repetition within a day is the same message. */
  add(topic: string, group: string, parked: Parked): Promise<void>;
  /** By group. */
  count(topic: string, groups: readonly string[]): Promise<ReadonlyMap<string, number>>;
  removeAll(topic: string, group: string): Promise<void>;
}

export function createNatsLetters({ use }: Connection, groups: Groups, append: (topic: string, fields: readonly string[]) => Promise<unknown>): Letters {
  const get = async (topic: string, group: string, id: string): Promise<RawEntry | undefined> => {
    const message = await readLetter(use, numberOf(id));
    const entry = message && toRawEntry({ ms: message.time.getTime(), number: message.seq, data: message.data });
    return entry && message.subject === lettersSubject(topic, group) && entry.id === id ? entry : undefined;
  };
  const remove = async (topic: string, group: string, id: string): Promise<boolean> => {
    if ((await get(topic, group, id)) === undefined) return false;
    return use(({ jsm }) => jsm.streams.deleteMessage(LETTERS, numberOf(id), true)).catch((error: unknown) => {
      if (isNotFound(error) || isNoSuchMessage(error)) return false;
      throw error;
    });
  };
  const publish = (topic: string, group: string, { fields, msgID }: { readonly fields: readonly string[]; readonly msgID?: string }): Promise<PubAck> =>
    use(({ js }) => js.publish(lettersSubject(topic, group), encodeFields(fields), msgID === undefined ? {} : { msgID }));
  return {
    async add(topic, group, { sourceId, reason, consumer, attempts, firstMs, fields }) {
      const own = ['reason', reason, 'source_id', sourceId, 'group', group, 'consumer', consumer, 'attempts', String(attempts), 'first_seen', String(firstMs), 'last_seen', String(Date.now())];
      const { duplicate, seq } = await publish(topic, group, { fields: [...own, ...fields], msgID: `${token(topic)}/${token(group)}/${sourceId}` });
      // The server remembers ids of letters that were removed meanwhile, too: the entry failed anew, and must not be acknowledged without one.
      if (duplicate && (await readLetter(use, seq)) === undefined) await publish(topic, group, { fields: [...own, ...fields] });
    },
    async count(topic, names) {
      const { subjects = {} } = (await use(({ jsm }) => jsm.streams.info(LETTERS, { subjects_filter: lettersSubject(topic, '*') }))).state;
      return new Map(names.map((group) => [group, subjects[lettersSubject(topic, group)] ?? 0]));
    },
    removeAll: (topic, group) => use(async ({ jsm }) => void (await jsm.streams.purge(LETTERS, { filter: lettersSubject(topic, group) }))),
    async boxes(definition, wanted) {
      const known = await groups.list(definition.name);
      return (wanted === undefined ? known : [wanted]).map((group) => ({ definition, topic: definition.name, group, partition: 0 }));
    },
    range: ({ topic, group }, wanted) => readLetters(use, lettersSubject(topic, group), wanted),
    find: ({ topic, group }, id) => get(topic, group, id),
    remove: ({ topic, group }, id) => remove(topic, group, id),
    /** The new letter first: a crash in between leaves both. */
    async replaceData({ topic, group }, id, text) {
      const { fields } = (await get(topic, group, id)) ?? { fields: [] };
      const edited = fields.flatMap((name, at) => (at % 2 === 0 ? [name, name === 'data' && at >= 2 * LETTER_FIELDS ? text : (fields[at + 1] ?? '')] : []));
      const { seq: number } = await publish(topic, group, { fields: edited });
      await remove(topic, group, id);
      const message = await use(({ jsm }) => jsm.streams.getMessage(LETTERS, { seq: number }));
      return message === null ? id : toRawEntry({ ms: message.time.getTime(), number, data: message.data }).id;
    },
    /** Appended first: a crash in between repeats the event, under its own id. */
    async replay({ topic, group }, entry) {
      if ((await get(topic, group, entry.id)) === undefined) return false;
      await append(topic, entry.fields.slice(2 * LETTER_FIELDS));
      return remove(topic, group, entry.id);
    },
  };
}

async function readLetter(use: Connection['use'], number: number): Promise<StoredMsg | undefined> {
  try {
    return (await use(({ jsm }) => jsm.streams.getMessage(LETTERS, { seq: number }))) ?? undefined;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

/** Oldest first. */
async function readLetters(use: Connection['use'], subject: string, { from, after, before, count }: LetterRange): Promise<readonly RawEntry[]> {
  const start = after === undefined
    ? from === undefined ? { deliver_policy: DeliverPolicy.All } : { deliver_policy: DeliverPolicy.StartTime, opt_start_time: new Date(Number(from.split('-')[0])).toISOString() }
    : { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: numberOf(after) + 1 };
  const found: RawEntry[] = [];
  await readAll(use, LETTERS, { ...start, filter_subjects: subject }, (message) => {
    const entry = toRawEntry(message);
    if (before !== undefined && message.ms >= Number(before)) return false;
    found.push(entry);
    return found.length < count;
  });
  return found;
}
