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
  /** Writes the contexts alone, of events that are on the bus already: after Redis may have lost what it had. */
  readonly restore: Pick<ContextWriter, 'write'>;
}

/** An event, and what Redis knew of it. */
interface Checked {
  readonly place: number;
  readonly event: NewInteraction;
  readonly isDuplicate: boolean;
}

/**
 * The way in where the bus is not on Redis: ids, merges and erasures are looked at, the event is published and acknowledged by the broker, then the context is written.
 * Resolved means that the bus has every event that is no duplicate. An id is noted behind the publication, so an event whose answer was lost is published again: the
 * broker drops its id, as the topic's dedupMs says. Where Redis goes away in between, the event is published, its context is not (`broken`).
 */
export function createPublishedContextWriter(options: PublishedContextWriterOptions): PublishedContextWriter {
  const { redis, keys, ttlSeconds, dedupMs = INTERACTION_DEDUP_MS, erased = NOBODY, bus } = options;
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
  const check = async (events: readonly NewInteraction[]): Promise<readonly Checked[]> => {
    const [scores, users] = await Promise.all([redis.zmscore(of.recentIds, ...events.map(idOf)), Promise.all(events.map(userOf)), checkErased()]);
    const seen = new Set<string>();
    return users.map((event, place) => {
      const isDuplicate = scores[place] !== null || seen.has(idOf(event));
      seen.add(idOf(event));
      return { place, event, isDuplicate };
    });
  };
  const remember = async (all: readonly Checked[]): Promise<readonly Written['outcome'][]> => {
    const clock: Clock = { now: Date.now(), ttlMs: ttlSeconds * 1_000 };
    // What Redis does not take now is missing in this context only.
    return Promise.all(all.map(async ({ place, event }) => rememberOf(redis, keys, clock, { entry: entryOf(place, event), isAgain: false }).catch(() => 'broken' as const)));
  };
  const note = async (all: readonly Checked[]): Promise<void> => {
    if (all.length > 0) await redis.zadd(of.recentIds, 'NX', ...all.flatMap(({ event }) => [Date.now(), idOf(event)])).catch(() => undefined);
  };
  const writeAll = async (events: readonly NewInteraction[], publish: (all: readonly NewInteraction[]) => Promise<void>): Promise<readonly Written[]> => {
    if (events.length === 0) return [];
    const checked = await check(events);
    const fresh = checked.filter(({ event, isDuplicate }) => !isDuplicate && !erased.has(event.user_id));
    await publish(fresh.map(({ event }) => event));
    const [outcomes] = await Promise.all([remember(fresh), note(fresh)]);
    const done = new Map(fresh.map(({ place }, at) => [place, outcomes[at] ?? 'broken']));
    return checked.map(({ place, event, isDuplicate }) => ({ outcome: erased.has(event.user_id) ? 'erased' : isDuplicate ? 'duplicate' : (done.get(place) ?? 'broken'), userId: event.user_id }));
  };
  return {
    write: (events) => writeAll(events, (fresh) => bus.publish(interactions, fresh)),
    restore: { write: (events) => writeAll(events, async () => undefined) },
    async forgetOldIds() {
      while (Number(await forgetIds(redis, [of.recentIds], [Date.now() - dedupMs])) === 500);
    },
  };
}

const idOf = ({ meta }: NewInteraction): string => meta?.id ?? '';
