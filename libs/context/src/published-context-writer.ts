import { SinkUnavailableError } from '@millrace/bus';
import type { EventPublisher } from '@millrace/bus';
import { INTERACTION_DEDUP_MS, interactions } from '@millrace/contracts';
import type { NewInteraction } from '@millrace/contracts';
import { entryOf, MAX_MOVES, NOBODY, rememberOf } from './context-writer.ts';
import type { Clock, ContextWriter, ContextWriterOptions, Written } from './context-writer.ts';
import { forgetIds } from './scripts.ts';

export interface PublishedContextWriterOptions extends Omit<ContextWriterOptions, 'partitions' | 'onLost'> {
  /** Resolves once its broker has acknowledged the events. */
  readonly bus: EventPublisher;
}

export interface PublishedContextWriter extends ContextWriter {
  /** Writes the contexts alone, of events that are on the bus already: after Redis may have lost what it had. Rejects where Redis does not take one: to be repeated. */
  readonly restore: Pick<ContextWriter, 'write'>;
}

/** An event, and what Redis knew of it. */
interface Checked {
  readonly place: number;
  readonly event: NewInteraction;
  readonly isDuplicate: boolean;
}

/** What Redis knows of events and their users, with each user's id that counts. */
function createCheck({ redis, keys, erased = NOBODY }: Pick<PublishedContextWriterOptions, 'redis' | 'keys' | 'erased'>): (events: readonly NewInteraction[]) => Promise<readonly Checked[]> {
  const of = keys.topic(interactions.name);
  let erasures = 0;

  const checkErased = async (): Promise<void> => {
    const known = Number((await redis.get(of.erased)) ?? 0);
    if (known <= erasures) return;
    await erased.refresh();
    erasures = known;
  };
  /** The user, or whom it was merged into. */
  const userOf = async (event: NewInteraction): Promise<NewInteraction> => {
    let userId = event.user_id;
    for (let hop = 0; hop < MAX_MOVES; hop += 1) {
      const into = await redis.get(keys.user(userId).mergedInto);
      if (into === null) return userId === event.user_id ? event : { ...event, user_id: userId };
      userId = into;
    }
    throw new SinkUnavailableError('the user moves to other ids all the time');
  };
  return async (events) => {
    const [scores, users] = await Promise.all([redis.zmscore(of.recentIds, ...events.map(idOf)), Promise.all(events.map(userOf)), checkErased()]);
    const seen = new Set<string>();
    return users.map((event, place) => {
      const isDuplicate = scores[place] !== null || seen.has(idOf(event));
      seen.add(idOf(event));
      return { place, event, isDuplicate };
    });
  };
}

/**
 * The way in where the bus is not on Redis: ids, merges and erasures are looked at, the event is published and acknowledged by the broker, then the context is written.
 * Resolved means that the bus has every event that is no duplicate. An id is noted behind the publication, so an event whose answer was lost is published again: the
 * broker drops its id, as the topic's dedupMs says. Where Redis goes away in between, the event is published, its context is not (`broken`).
 */
export function createPublishedContextWriter(options: PublishedContextWriterOptions): PublishedContextWriter {
  const { redis, keys, ttlSeconds, dedupMs = INTERACTION_DEDUP_MS, erased = NOBODY, bus } = options;
  const of = keys.topic(interactions.name);
  const check = createCheck(options);
  const remember = (all: readonly Checked[]): Promise<readonly PromiseSettledResult<Written['outcome']>[]> => {
    const clock: Clock = { now: Date.now(), ttlMs: ttlSeconds * 1_000 };
    return Promise.allSettled(all.map(async ({ place, event }) => rememberOf(redis, keys, clock, { entry: entryOf(place, event), isAgain: false })));
  };
  /** Where it is tried again, an id is noted once its context is written. */
  const restore = async (fresh: readonly Checked[]): Promise<readonly Written['outcome'][]> => {
    const settled = await remember(fresh);
    await note(fresh.filter((_one, at) => settled[at]?.status === 'fulfilled'));
    return settled.map((one) => {
      if (one.status === 'rejected') throw one.reason;
      return one.value;
    });
  };
  const note = async (all: readonly Checked[]): Promise<void> => {
    if (all.length > 0) await redis.zadd(of.recentIds, 'NX', ...all.flatMap(({ event }) => [Date.now(), idOf(event)])).catch(() => undefined);
  };
  const publish = async (fresh: readonly Checked[]): Promise<readonly Written['outcome'][]> => {
    await bus.publish(interactions, fresh.map(({ event }) => event));
    const [settled] = await Promise.all([remember(fresh), note(fresh)]);
    // What Redis does not take now is missing in this context only.
    return settled.map((one) => (one.status === 'fulfilled' ? one.value : 'broken'));
  };
  const writeAll = async (events: readonly NewInteraction[], bring: (fresh: readonly Checked[]) => Promise<readonly Written['outcome'][]>): Promise<readonly Written[]> => {
    if (events.length === 0) return [];
    const checked = await check(events);
    const fresh = checked.filter(({ event, isDuplicate }) => !isDuplicate && !erased.has(event.user_id));
    const outcomes = await bring(fresh);
    const done = new Map(fresh.map(({ place }, at) => [place, outcomes[at] ?? 'broken']));
    return checked.map(({ place, event, isDuplicate }) => ({ outcome: erased.has(event.user_id) ? 'erased' : isDuplicate ? 'duplicate' : (done.get(place) ?? 'broken'), userId: event.user_id }));
  };
  return {
    write: (events) => writeAll(events, publish),
    restore: { write: (events) => writeAll(events, restore) },
    async forgetOldIds() {
      while (Number(await forgetIds(redis, [of.recentIds], [Date.now() - dedupMs])) === 500);
    },
  };
}

const idOf = ({ meta }: NewInteraction): string => meta?.id ?? '';
