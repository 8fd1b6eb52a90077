import { randomUUID } from 'node:crypto';
import type { CacheKeys, Keys, Redis } from '@millrace/redis-kit';
import { asList } from '@millrace/redis-kit';
import { z } from 'zod';
import type { Answer, Keeping } from './answer.ts';
import { createPlainLookup } from './plain-lookup.ts';
import { beginScript, holdScript, lookupScript, purgeScript, storeScript } from './scripts.ts';

/** A stored answer that nobody has purged. */
export interface Stored extends Required<Keeping> {
  readonly answer: Answer;
  /** By the clock of Redis: the same for every instance. */
  readonly ageMs: number;
}

/** Leave to ask the origin: what the purge clock said, and the token of the lock. */
export interface Leave {
  readonly clock: string;
  readonly token: string;
}

/** What Redis holds for all instances. Every function rejects where Redis does not answer, or refuses. */
export interface SharedStore {
  lookup(id: string): Promise<Stored | undefined>;
  /** A fresh answer; or leave to ask the origin; or undefined: another instance is asking it. `lockMs` 0: leave without a lock. */
  begin(id: string, lockMs: number): Promise<Stored | Leave | undefined>;
  /** False: dropped, because one of its tags was purged since the leave, or the clock is lost. Gives back the lock. */
  store(id: string, leave: Leave, kept: Omit<Stored, 'ageMs'>): Promise<boolean>;
  /** Keeps the lock for `lockMs` more; 0 gives it back. */
  hold(id: string, leave: Leave, lockMs: number): Promise<unknown>;
  /** Answers with one of the tags are gone for every instance; undefined: all answers are. Twice is as good as once. */
  purge(tags: readonly string[] | undefined): Promise<void>;
}

const metaSchema = z.object({ s: z.int(), h: z.record(z.string(), z.string()), t: z.array(z.string()), r: z.number(), e: z.number() });
const tagName = (tag: string): string => `tag:${tag}`;
/** Of one part's clock, about 100 bytes each: beyond that everything is purged and the tags begin anew. */
const MAX_TAGS = 200_000;
const TAGS_AT_ONCE = 5_000;

/** undefined: written by another release, or by somebody else. */
function parseMeta(text: string): z.output<typeof metaSchema> | undefined {
  try {
    return metaSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

const isBytes = (value: unknown): value is Buffer => Buffer.isBuffer(value);

/** Bytes of a reply, however Redis sent them. */
function bytesOf(reply: unknown): readonly Buffer[] {
  return reply === null || reply === undefined ? [] : asList(reply).map((item) => (isBytes(item) ? item : Buffer.from(String(item))));
}

function toStored([age, fresh, meta, body]: readonly Buffer[]): Stored | undefined {
  if (age === undefined || fresh === undefined || meta === undefined || body === undefined) return undefined;
  const parsed = parseMeta(meta.toString());
  if (!parsed) return undefined;
  const { s, h, t, r, e } = parsed;
  return { answer: { status: s, headers: h, body }, tags: t, staleWhileRevalidateMs: r, staleIfErrorMs: e, freshMs: Number(fresh.toString()), ageMs: Number(age.toString()) };
}

/** `keys` are those of the Redis that `redis` leads to. */
export function createSharedStore(redis: Redis, keys: Keys): SharedStore {
  const touched = (part: CacheKeys, id: string): string[] => [part.entry(id), part.clock, part.lock(id)];
  const plain = createPlainLookup(redis);
  /** What cannot be read is thrown away: it must not stand in the way until it ends. */
  const read = async (id: string, reply: readonly Buffer[]): Promise<Stored | undefined> => {
    const stored = toStored(reply);
    if (!stored && reply.length > 1) await redis.unlink(keys.cache(id).entry(id));
    return stored;
  };
  return {
    lookup: async (id) => {
      const part = keys.cache(id);
      const found = await plain.find(part, id, tagName);
      if (found !== 'unknown') return found === 'gone' ? undefined : found;
      const reply = bytesOf(await lookupScript(redis, [part.entry(id), part.clock], []));
      const stored = await read(id, reply);
      const meta = reply[2];
      if (stored && meta) plain.remember(id, meta, stored);
      return stored;
    },
    begin: async (id, lockMs) => {
      const token = randomUUID();
      const reply = bytesOf(await beginScript(redis, touched(keys.cache(id), id), [token, lockMs]));
      const [clock] = reply;
      return reply.length === 1 && clock ? { clock: clock.toString(), token } : await read(id, reply);
    },
    store: async (id, { clock, token }, { answer, freshMs, staleWhileRevalidateMs, staleIfErrorMs, tags }) => {
      const meta = JSON.stringify({ s: answer.status, h: answer.headers, t: tags, r: staleWhileRevalidateMs, e: staleIfErrorMs });
      const keptMs = freshMs + Math.max(staleWhileRevalidateMs, staleIfErrorMs);
      const args = [token, clock, Math.round(freshMs), Math.ceil(keptMs), meta, answer.body, ...tags.map(tagName)];
      return (await storeScript(redis, touched(keys.cache(id), id), args)) === 1;
    },
    hold: (id, { token }, lockMs) => holdScript(redis, [keys.cache(id).lock(id)], [token, lockMs]),
    purge: async (tags) => {
      const [first = [], ...rest] = tags === undefined ? [[]] : chunksOf(tags.map(tagName));
      if (tags !== undefined && first.length === 0) return;
      await Promise.all(keys.cacheParts.map(async ({ clock }) => {
        for (const chunk of [first, ...rest]) await purgeScript(redis, [clock], [MAX_TAGS, ...chunk]);
      }));
    },
  };
}

const chunksOf = <T>(items: readonly T[]): T[][] => Array.from({ length: Math.ceil(items.length / TAGS_AT_ONCE) }, (_none, at) => items.slice(at * TAGS_AT_ONCE, (at + 1) * TAGS_AT_ONCE));
