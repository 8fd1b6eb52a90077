import { randomUUID } from 'node:crypto';
import { SinkUnavailableError } from '@millrace/bus';
import type { BatchHandler, EventMeta } from '@millrace/bus';
import { interactions, searches } from '@millrace/contracts';
import type { Interaction, SearchEvent } from '@millrace/contracts';
import { asText, compareStreamIds } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';
import { applyCounts } from './count-script.ts';
import { sumInteractions, sumSearches, usersByDay } from './deltas.ts';
import type { Fields } from './deltas.ts';
import type { Source, Sources } from './sources.ts';

export interface CountEventsDeps {
  readonly redis: Redis;
  readonly sources: Pick<Sources, 'add'>;
  /** Counts of one partition that wait for Postgres; then counting waits, too. */
  readonly maxFields?: number;
  readonly onCounted?: () => void;
}

interface Counted {
  readonly fields: Fields;
  readonly users: ReadonlyMap<string, ReadonlySet<string>>;
}

/** About 80 bytes each, twice: what is being counted and what is on its way. */
const MAX_FIELDS = 100_000;
/** Of counts that nobody rolls up: every instance was away for so long. */
const TTL_SECONDS = 7 * 86_400;
/** Today and yesterday are counted. */
const USERS_TTL_SECONDS = 3 * 86_400;

/**
 * Counts each event once: a batch is one script, with the id of the last event in it beside the counts, so that a batch that comes again, whole or in part,
 * changes nothing. Needs `ordering: 'key'` (one consumer a partition). Fails for Redis alone, never for one event, so that no later one is counted before.
 */
const countEvents =
  <E extends { readonly meta: EventMeta }>({ redis, sources, maxFields = MAX_FIELDS, onCounted }: CountEventsDeps, topic: string, sum: (events: readonly E[]) => Counted): BatchHandler<E> =>
  async (events, delivery) => {
    try {
      const source = await sources.add(topic, delivery?.partition ?? 0);
      const applied = await redis.get(source.keys.applied);
      const fresh = events.filter(({ meta }) => applied === null || compareStreamIds(streamIdOf(meta), applied) > 0);
      const last = fresh.at(-1);
      if (last) await apply({ redis, source, maxFields }, { from: applied ?? '', to: streamIdOf(last.meta) }, sum(fresh));
    } catch (error) {
      throw new SinkUnavailableError('events cannot be counted now', { cause: error });
    }
    onCounted?.();
  };

function streamIdOf({ streamId }: EventMeta): string {
  if (streamId === undefined) throw new Error('an event came without its place in the stream');
  return streamId;
}

async function apply({ redis, source, maxFields }: { readonly redis: Redis; readonly source: Source; readonly maxFields: number }, applied: { readonly from: string; readonly to: string }, { fields, users }: Counted): Promise<void> {
  const { keys } = source;
  const args = [applied.from, applied.to, randomUUID(), maxFields, TTL_SECONDS, USERS_TTL_SECONDS, fields.size, ...[...fields].flat(), ...[...users.values()].flatMap((ids) => [ids.size, ...ids])];
  const outcome = asText(await applyCounts(redis, [keys.applied, keys.pending, ...[...users.keys()].map((day) => keys.users(day))], args));
  if (outcome === 'full') throw new Error('too many counts wait for the roll-up into Postgres');
  if (outcome !== 'ok') throw new Error('another consumer has counted meanwhile');
}

export const countInteractions = (deps: CountEventsDeps, now: () => number = Date.now): BatchHandler<Interaction> =>
  countEvents(deps, interactions.name, (events: readonly Interaction[]) => ({ fields: sumInteractions(events), users: usersByDay(events, now()) }));

export const countSearches = (deps: CountEventsDeps): BatchHandler<SearchEvent> =>
  countEvents(deps, searches.name, (events: readonly SearchEvent[]) => ({ fields: sumSearches(events), users: new Map() }));
