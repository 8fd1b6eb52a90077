import type { CacheKeys, Redis } from '@millrace/redis-kit';
import { asList, isCluster } from '@millrace/redis-kit';
import { LRUCache } from 'lru-cache';
import type { Stored } from './shared-store.ts';

/** An answer as it was found before: its tags name the marks that decide whether it is still valid. */
interface Seen {
  readonly meta: Buffer;
  readonly stored: Stored;
}

/** Reads what was read before without a script, which costs Redis ten times as much as the commands do. */
export interface PlainLookup {
  /** The answer, `gone`, or `unknown`: the script is to be asked. */
  find(part: CacheKeys, id: string, tagName: (tag: string) => string): Promise<Stored | 'gone' | 'unknown'>;
  /** What the script found, and its meta data as Redis holds them. */
  remember(id: string, meta: Buffer, stored: Stored): void;
}

const REMEMBERED = 5_000;

const isAbove = (mark: string | null, clock: number): boolean => mark !== null && Number(mark) > clock;

/** What was read of one part of the cache, all of it in one go. */
interface Read {
  readonly clock: string | null;
  /** Everything was purged then. */
  readonly epoch: string | null;
  readonly nowMs: number;
  entryAt(at: number): readonly (Buffer | null)[];
  markOf(name: string): string | null;
}

/** What is asked for in one turn of the event loop. */
interface Turn {
  readonly entries: string[];
  readonly names: Set<string>;
  readonly read: Promise<Read>;
}

const texts = (reply: unknown): readonly (string | null)[] => asList(reply).map((item) => (typeof item === 'string' ? item : null));
const bytes = (reply: unknown): readonly (Buffer | null)[] => asList(reply).map((item) => (Buffer.isBuffer(item) ? item : null));

/** Entries first, then the marks of all their tags, and the time, in one write. */
async function readPart(redis: Redis, clock: string, { entries, names }: Pick<Turn, 'entries' | 'names'>): Promise<Read> {
  const all = [...names];
  const commands = redis.pipeline();
  for (const entry of entries) commands.hmgetBuffer(entry, 'clock', 'stored', 'fresh', 'meta', 'body');
  const replies = (await commands.hmget(clock, ':clock', ':epoch', ...all).time().exec()) ?? [];
  const replyAt = (at: number): unknown => {
    const [error, reply] = replies[at] ?? [new Error('Redis did not answer')];
    if (error) throw error;
    return reply;
  };
  const [now = null, epoch = null, ...marks] = texts(replyAt(entries.length));
  const [seconds, microseconds] = texts(replyAt(entries.length + 1)).map(Number);
  const found = new Map(all.map((name, at) => [name, marks[at] ?? null]));
  return { clock: now, epoch, nowMs: (seconds ?? 0) * 1_000 + (microseconds ?? 0) / 1_000, entryAt: (at) => bytes(replyAt(at)), markOf: (name) => found.get(name) ?? null };
}

/** Reads what is asked for in one turn of the event loop at its end, all at once: a command less for each call, and one write for all. */
function createReader(redis: Redis): (clock: string, entry: string, names: readonly string[]) => Promise<readonly [Read, readonly (Buffer | null)[]]> {
  const turns = new Map<string, Turn>();
  const begin = (clock: string): Turn => {
    const asked = { entries: [], names: new Set<string>() };
    const turn = { ...asked, read: new Promise<Read>((resolve) => setImmediate(() => {
      turns.delete(clock);
      resolve(readPart(redis, clock, asked));
    })) };
    turns.set(clock, turn);
    return turn;
  };
  return async (clock, entry, names) => {
    const turn = turns.get(clock) ?? begin(clock);
    for (const name of names) turn.names.add(name);
    const at = turn.entries.push(entry) - 1;
    const read = await turn.read;
    return [read, read.entryAt(at)];
  };
}

/**
 * The answer is read first and the marks of its tags after it, on one connection: whatever was purged before the marks were read is seen, so an answer is never
 * given that the script would not have given at that moment. An answer with other meta data than those that are remembered (its tags may be others) is
 * left to the script. Not on a cluster.
 */
export function createPlainLookup(redis: Redis): PlainLookup {
  const seen = new LRUCache<string, Seen>({ max: REMEMBERED });
  const read = createReader(redis);
  return {
    async find(part, id, tagName) {
      const known = seen.get(id);
      if (!known || isCluster(redis)) return 'unknown';
      const names = known.stored.tags.map(tagName);
      const [marks, [clockText, storedText, fresh, meta, body]] = await read(part.clock, part.entry(id), names);
      if (!clockText || !storedText || !fresh || !meta || !body) return 'gone';
      if (!meta.equals(known.meta)) return 'unknown';
      const clock = Number(clockText.toString('latin1'));
      // As is_valid in scripts.ts.
      if (marks.clock === null || Number(marks.clock) < clock || isAbove(marks.epoch, clock) || names.some((name) => isAbove(marks.markOf(name), clock))) return 'gone';
      const ageMs = Math.max(0, Math.floor(marks.nowMs - Number(storedText.toString('latin1'))));
      const { answer, ...rest } = known.stored;
      return { ...rest, answer: { ...answer, body }, freshMs: Number(fresh.toString('latin1')), ageMs };
    },
    remember: (id, meta, stored) => void seen.set(id, { meta, stored: { ...stored, answer: { ...stored.answer, body: EMPTY } } }),
  };
}

const EMPTY = Buffer.alloc(0);
