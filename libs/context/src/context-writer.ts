import { randomUUID } from 'node:crypto';
import { encodeCheckedEvent, keysOf, partitionOf, readLayout, SinkUnavailableError, wireNames, wireValues } from '@millrace/bus';
import type { Layout, WireEvent } from '@millrace/bus';
import { INTERACTION_DEDUP_MS, interactions } from '@millrace/contracts';
import type { NewInteraction } from '@millrace/contracts';
import { asList, asText, isCluster } from '@millrace/redis-kit';
import type { Keys, Redis, TopicKeys } from '@millrace/redis-kit';
import { appendAndRemember, forgetIds, rememberOnly, USER_KEYS, userKeyList } from './scripts.ts';

/**
 * `live`: appended, and the next recommendation knows. `old`: appended, too old for the context. `duplicate`: the id came before, so nothing was done.
 * `broken`: appended; the user's keys are of another kind, so its context stays as it is. `erased`: the user was erased, so nothing was done.
 */
export type Outcome = 'live' | 'old' | 'duplicate' | 'broken' | 'erased';

export interface Written {
  readonly outcome: Outcome;
  /** The event's user, or the one that it was merged into. */
  readonly userId: string;
}

/** Users that were erased, as far as this process knows. */
export interface ErasedUsers {
  has(userId: string): boolean;
  /** Redis knows of an erasure that this process may not know: resolves once `has` knows all that were recorded before the call. */
  refresh(): Promise<void>;
}

export interface ContextWriterOptions {
  readonly redis: Redis;
  readonly keys: Keys;
  /** A context ends so long after its newest event, seconds. */
  readonly ttlSeconds: number;
  /** An event id that came in this time is not appended again, milliseconds. Default: that of the topic. Costs about 150 bytes an id. */
  readonly dedupMs?: number;
  /** As configured; undefined: whatever the topic has. */
  readonly partitions?: number | undefined;
  /** The stream is another one than at the last append (Redis was flushed, or restored): what was acknowledged a moment ago may be gone. */
  readonly onLost?: () => void;
  /** Default: nobody was ever erased. */
  readonly erased?: ErasedUsers;
}

export interface ContextWriter {
  /**
   * Appends each event to the topic and writes the context of its user, once for each event id within `dedupMs`: one script a partition on a single
   * instance, append and then context on Cluster. The events must have been checked. Outcomes are in the order of the events. Rejects where Redis does
   * not answer: each event may have been appended then; sending it again is safe.
   */
  write(events: readonly NewInteraction[]): Promise<readonly Written[]>;
  /** Forgets event ids that are older than `dedupMs`. For a schedule: writing forgets some, too, but not when nobody writes. */
  forgetOldIds(): Promise<void>;
}

export const NOBODY: ErasedUsers = { has: () => false, refresh: async () => undefined };
export const MAX_MOVES = 5;
/** Events of one call: at some 20 microseconds each, other clients of Redis wait 1 ms. */
const CHUNK = 50;

export interface Entry {
  readonly place: number;
  readonly event: NewInteraction;
  readonly wire: WireEvent;
}

/** For event-ingest alone: one service writes the context, the others read it. */
export function createContextWriter(options: ContextWriterOptions): ContextWriter {
  const { redis, keys, partitions, erased = NOBODY } = options;
  let wanted = partitions;
  let layout: Layout | undefined;
  const epochs = new Map<string, string>();
  const openLayout = async (): Promise<Layout> => {
    layout ??= await readLayout(redis, keys, interactions.name, wanted);
    // Looked at once: a running writer goes along with a repartitioning.
    wanted = undefined;
    return layout;
  };
  const call = createCall(options, (stream, epoch) => {
    const known = epochs.get(stream);
    epochs.set(stream, epoch);
    if (known !== undefined && known !== epoch) options.onLost?.();
  });

  /** Undefined where the topic has moved; what was done before is dropped as a duplicate when it comes again. */
  const tryOnce = async (all: readonly Entry[], done: Written[]): Promise<readonly Entry[]> => {
    const { id, current } = await openLayout();
    const entries = all.filter(({ event }) => !erased.has(event.user_id));
    if (entries.length < all.length) for (const { place, event } of all) if (erased.has(event.user_id)) done[place] = { outcome: 'erased', userId: event.user_id };
    const streams = keysOf(keys, interactions.name, current);
    const left: Entry[] = [];
    const chunks = streams.flatMap((of, index) => chunksOf(entries.filter(({ wire }) => partitionOf(wire.key, streams.length) === index)).map((chunk) => ({ of, chunk })));
    await Promise.all(chunks.map(async ({ of, chunk }) => {
      const outcomes = await call(id, of, chunk);
      if (outcomes === 'moved' || outcomes === 'unknown erasure') left.push(...chunk);
      else for (const [index, entry] of chunk.entries()) {
        const outcome = outcomes[index];
        if (typeof outcome === 'object') left.push(entryOf(entry.place, { ...entry.event, user_id: outcome.to }));
        else done[entry.place] = { outcome: outcome ?? 'broken', userId: entry.event.user_id };
      }
      if (outcomes === 'moved') layout = undefined;
    }));
    return left;
  };
  return {
    async write(events) {
      const done: Written[] = [];
      let left: readonly Entry[] = events.map((event, place) => entryOf(place, event));
      for (let attempt = 1; left.length > 0; attempt += 1) {
        if (attempt > MAX_MOVES) throw new SinkUnavailableError('the topic moves to other partitions, or the user to other ids, all the time');
        left = await tryOnce(left, done);
      }
      return done;
    },
    async forgetOldIds() {
      const { current } = await openLayout();
      for (const { recentIds } of keysOf(keys, interactions.name, current)) while (Number(await forgetIds(redis, [recentIds], [Date.now() - (options.dedupMs ?? INTERACTION_DEDUP_MS)])) === 500);
    },
  };
}

export const entryOf = (place: number, event: NewInteraction): Entry => ({ place, event, wire: encodeCheckedEvent(interactions, event) });

function chunksOf(entries: readonly Entry[]): (readonly Entry[])[] {
  const chunks: (readonly Entry[])[] = [];
  for (let start = 0; start < entries.length; start += CHUNK) chunks.push(entries.slice(start, start + CHUNK));
  return chunks;
}

type Outcomes = readonly (Outcome | { readonly to: string })[];
type Call = (layoutId: string, of: TopicKeys, chunk: readonly Entry[]) => Promise<Outcomes | 'moved' | 'unknown erasure'>;

const NAMES = wireNames(interactions);
const PLACES = [NAMES.length, NAMES.indexOf('id'), NAMES.indexOf('asin')];

/** A time ahead of now counts as now. The end of the context is worked out here: Lua has only floating point. */
function detailsOf({ wire, event }: Entry, { now, ttlMs }: Clock): readonly (string | number)[] {
  const at = Math.min(Date.parse(wire.timestamp), now);
  return [at, at + ttlMs, event.category ?? '', event.type === 'purchase' ? '1' : ''];
}

export interface Clock {
  readonly now: number;
  readonly ttlMs: number;
}

/** One chunk of one partition; nothing is done where that is not open for the layout any more, or users were erased that this process did not know of. */
function createCall({ redis, keys, ttlSeconds, dedupMs = INTERACTION_DEDUP_MS, erased = NOBODY }: ContextWriterOptions, sawEpoch: (stream: string, epoch: string) => void): Call {
  const isTwoCalls = isCluster(redis);
  const ttlMs = ttlSeconds * 1_000;
  let erasures = 0;
  return async (layoutId, of, chunk) => {
    const own = [of.stream, of.layout, of.recentIds, of.epoch, of.erased];
    const clock = { now: Date.now(), ttlMs };
    const args: (string | number)[] = [layoutId, clock.now, clock.now - dedupMs, ttlMs, randomUUID(), isTwoCalls ? 0 : USER_KEYS, erasures, ...PLACES, clock.now - ttlMs, ...NAMES];
    for (const entry of chunk) {
      if (!isTwoCalls) own.push(...userKeyList(keys.user(entry.event.user_id)));
      args.push(...wireValues(interactions, entry.wire), ...detailsOf(entry, clock));
    }
    const reply = await appendAndRemember(redis, own, args);
    if (reply === 'moved') return 'moved';
    if (typeof reply === 'number') {
      await erased.refresh();
      erasures = Math.max(erasures, reply);
      return 'unknown erasure';
    }
    const [epoch, ...outcomes] = asList(reply);
    sawEpoch(of.stream, asText(epoch));
    if (!isTwoCalls) return outcomes.map(toOutcome);
    return Promise.all(chunk.map(async (entry, index) => {
      const isAgain = outcomes[index] === 'duplicate';
      const outcome = await rememberOf(redis, keys, clock, { entry, isAgain });
      return isAgain ? 'duplicate' : outcome;
    }));
  };
}

/** On Cluster: the context of the user, or of the one that it was merged into; the entry keeps the id that it came with. */
export async function rememberOf(redis: Redis, keys: Keys, clock: Clock, { entry, isAgain }: { readonly entry: Entry; readonly isAgain: boolean }): Promise<Outcome> {
  let userId = entry.event.user_id;
  for (let hop = 0; hop < MAX_MOVES; hop += 1) {
    const outcome = toOutcome(await rememberOnly(redis, userKeyList(keys.user(userId)), [clock.now - clock.ttlMs, clock.ttlMs, entry.event.asin, ...detailsOf(entry, clock), isAgain ? '1' : '']));
    if (typeof outcome !== 'object') return outcome;
    userId = outcome.to;
  }
  return 'broken';
}

function toOutcome(reply: unknown): Outcome | { readonly to: string } {
  const text = asText(reply);
  if (text.startsWith('to:')) return { to: text.slice(3) };
  if (text === 'live' || text === 'old' || text === 'duplicate' || text === 'broken') return text;
  throw new TypeError('the event script answered something unknown');
}
