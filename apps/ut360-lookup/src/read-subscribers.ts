import type { Keys, Redis } from '@millrace/redis-kit';
import { AppError } from '@millrace/service';
import { readSubscribers } from '@millrace/subscribers';
import type { EncodedSubscriber, IsErased, Pointer } from '@millrace/subscribers';
import type { LivePointer } from './live-pointer.ts';
import type { Reads } from './reads.ts';
import { fill, fillAbsent, readAbsent, readFromRedis } from './redis-subscribers.ts';

export type Source = 'redis' | 'postgres';

export interface FoundSubscriber {
  /** What follows the ISDN in an answer: `"recommendation":…,"profile":…}`. */
  readonly body: string;
  /** Lists of months as the profile has them; null: none, or not asked for. */
  readonly months: string | null;
  readonly source: Source;
}

export interface Resolved {
  /** Everything in `found` is of what this names. */
  readonly pointer: Pointer;
  /** In the order of the question. */
  readonly found: readonly (FoundSubscriber | undefined)[];
}

export interface FindOptions {
  readonly withMonths: boolean;
  /** The generation that is wanted; default: the live one. */
  readonly at?: Pointer;
}

export interface SubscriberReader {
  /** Redis first, Postgres for what it does not have. Rejects with AppError('unavailable') where neither answers. */
  find(isdns: readonly string[], options: FindOptions): Promise<Resolved>;
}

export interface ReaderDeps {
  /** A `request` connection. */
  readonly redis: Redis;
  readonly keys: Keys;
  readonly reads: Reads;
  readonly pointer: LivePointer;
  /** Who is as unknown as if never loaded, whatever the stores say. */
  readonly isErased: IsErased;
  /** Resolves once `isErased` knows what the newest pointer tells of. */
  readonly erasedAreKnown: () => Promise<void>;
  readonly onEvent: (event: 'redis' | 'postgres' | 'absent' | 'filled' | 'redis_failed' | 'postgres_failed', count: number) => void;
}

/** After a failure Redis is left alone for so long: while it hangs, every question would wait for its timeout. */
const REST_MS = 1_000;
/** Markers of unknown subscribers that one question leaves: lists of strangers must not fill a Redis that evicts nothing. */
const MARKED_ABSENT = 100;
const UNDEFINED_TABLE = '42P01';
const isGone = (error: unknown): boolean => typeof error === 'object' && error !== null && 'code' in error && error.code === UNDEFINED_TABLE;
const monthsOf = ({ profile }: EncodedSubscriber): string | null => {
  const at = profile.indexOf('monthly_arpu');
  return at < 0 ? null : (profile[at + 1] ?? null);
};

/** Reads of the same subscriber at the same time ask Postgres once. */
function createFlights(reads: Reads): (pointer: Pointer, isdns: readonly string[]) => Promise<(EncodedSubscriber | undefined)[]> {
  const flights = new Map<string, Promise<EncodedSubscriber | undefined>>();
  return async (pointer, isdns) => {
    const keyOf = (isdn: string): string => `${pointer.version}:${isdn}`;
    const fresh = [...new Set(isdns)].filter((isdn) => !flights.has(keyOf(isdn)));
    if (fresh.length > 0) {
      const answer = reads.at(pointer, (db) => readSubscribers(db, pointer, fresh)).then((rows) => new Map(rows.map((row) => [row.isdn, row])));
      for (const isdn of fresh) {
        const flight = answer.then((rows) => rows.get(isdn)).finally(() => flights.delete(keyOf(isdn)));
        flight.catch(() => undefined);
        flights.set(keyOf(isdn), flight);
      }
    }
    return await Promise.all(isdns.map(async (isdn) => await flights.get(keyOf(isdn))));
  };
}

interface FromRedis extends Resolved {
  readonly isThere: boolean;
}
type AskRedis = (isdns: readonly string[], options: FindOptions) => Promise<FromRedis>;
type AskPostgres = (pointer: Pointer, isdns: readonly string[], isRedisThere: boolean) => Promise<(FoundSubscriber | undefined)[]>;

function redisSide({ redis, keys, pointer: live, onEvent }: ReaderDeps): AskRedis {
  let restUntilMs = 0;
  return async (isdns, { withMonths, at }) => {
    const nothing = (): FromRedis => ({ pointer: at ?? live.current, found: isdns.map(() => undefined), isThere: false });
    if (performance.now() < restUntilMs) return nothing();
    try {
      for (let tries = 0; ; tries += 1) {
        const pointer = at ?? live.current;
        const answer = await readFromRedis(redis, keys, { generation: pointer.redis, isdns, withMonths });
        // What was read is whole, also of the generation before: only the next question needs the new one. Once more, to be as new as can be.
        const now = live.observe(answer.pointer);
        if (now.redis !== pointer.redis && at === undefined && tries === 0) continue;
        // The newest version of the same generation: nobody joins a question to Postgres that was asked before somebody was erased.
        return { pointer: now.redis === pointer.redis ? now : pointer, isThere: true, found: answer.bodies.map((body, place) => (body === null ? undefined : { body, months: answer.months[place] ?? null, source: 'redis' as const })) };
      }
    } catch {
      restUntilMs = performance.now() + REST_MS;
      onEvent('redis_failed', 1);
      return nothing();
    }
  };
}

function postgresSide({ redis, keys, reads, isErased, erasedAreKnown, onEvent }: ReaderDeps): AskPostgres {
  const ask = createFlights(reads);
  /** In the background: a failure costs the next reader a query, nothing else. */
  const fillBack = (pointer: Pointer, isdns: readonly string[], rows: readonly (EncodedSubscriber | undefined)[]): void => {
    const absent = new Set(isdns.filter((_isdn, at) => rows[at] === undefined).slice(0, MARKED_ABSENT));
    const store = async (isdn: string, row: EncodedSubscriber | undefined): Promise<boolean> => {
      // Not even a marker that they are unknown is made of those who were erased just now.
      if (isErased(isdn)) return false;
      if (row !== undefined) return await fill(redis, keys, pointer, row);
      return absent.has(isdn) && (await fillAbsent(redis, keys, pointer, isdn));
    };
    void erasedAreKnown().then(() => Promise.all(isdns.map((isdn, at) => store(isdn, rows[at]))))
      .then((stored) => onEvent('filled', stored.filter(Boolean).length))
      .catch(() => onEvent('redis_failed', 1));
  };
  return async (pointer, isdns, isRedisThere) => {
    const known = isRedisThere ? await readAbsent(redis, keys, pointer.redis, isdns).catch(() => []) : [];
    const wanted = isdns.filter((_isdn, at) => known[at] !== true);
    onEvent('absent', isdns.length - wanted.length);
    const rows = wanted.length === 0 ? [] : await ask(pointer, wanted);
    onEvent('postgres', rows.filter((row) => row !== undefined).length);
    if (isRedisThere) fillBack(pointer, wanted, rows);
    const byIsdn = new Map(wanted.map((isdn, at) => [isdn, rows[at]]));
    return isdns.map((isdn) => {
      const row = byIsdn.get(isdn);
      return row === undefined ? undefined : { body: row.body, months: monthsOf(row), source: 'postgres' as const };
    });
  };
}

/** Nobody asks the stores for those who were erased. */
async function withoutErased(isErased: IsErased, isdns: readonly string[], ask: (rest: readonly string[]) => Promise<Resolved>): Promise<Resolved> {
  if (!isdns.some(isErased)) return await ask(isdns);
  const places = [...isdns.keys()].filter((at) => !isErased(isdns[at] ?? ''));
  const { pointer, found } = await ask(places.map((at) => isdns[at] ?? ''));
  const all: (FoundSubscriber | undefined)[] = isdns.map(() => undefined);
  for (const [index, at] of places.entries()) all[at] = found[index];
  return { pointer, found: all };
}

/** One reader a process. Whatever happens meanwhile, an answer is of one generation. */
export function createSubscriberReader(deps: ReaderDeps): SubscriberReader {
  const { pointer: live, isErased, onEvent } = deps;
  const askRedis = redisSide(deps);
  const askPostgres = postgresSide(deps);
  const attempt = async (isdns: readonly string[], options: FindOptions): Promise<Resolved> => {
    const first = await askRedis(isdns, options);
    const missing = [...isdns.keys()].filter((at) => first.found[at] === undefined);
    onEvent('redis', isdns.length - missing.length);
    if (missing.length === 0) return first;
    const pointer = first.isThere || options.at !== undefined ? first.pointer : await live.refresh();
    // Nothing was loaded yet: there is nothing to ask for.
    if (pointer.redis === 0) return { ...first, pointer };
    const rest = await askPostgres(pointer, missing.map((at) => isdns[at] ?? ''), first.isThere);
    const found = [...first.found];
    for (const [index, at] of missing.entries()) found[at] = rest[index];
    return { pointer, found };
  };
  return {
    async find(isdns, options) {
      try {
        return await withoutErased(isErased, isdns, async (rest) => await attempt(rest, options).catch(async (error: unknown) => {
          if (!isGone(error)) throw error;
          // The generation was removed: this process had not heard of the new one for a minute.
          await live.refresh();
          return await attempt(rest, { withMonths: options.withMonths });
        }));
      } catch (error) {
        onEvent('postgres_failed', 1);
        throw new AppError('unavailable', 'subscribers cannot be read now: neither Redis nor Postgres has answered', { cause: error, headers: { 'Retry-After': '2' } });
      }
    },
  };
}
