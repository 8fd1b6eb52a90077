import { backoffMs, pause } from './backoff.ts';
import { decodeEntry } from './codec.ts';
import type { RawEntry } from './codec.ts';
import type { ConsumerState } from './consumer.ts';
import { describeError, isFinal } from './errors.ts';
import { handleSingle } from './retries.ts';
import type { Received, Retries } from './retries.ts';

/** Entries of one key that may wait behind one that fails. With one more, the lane is parked whole. */
export const MAX_LANE = 1_000;
/** Of all keys together: beyond, no new batches are read. */
const MAX_HELD = 10_000;
const PAGE = 500;

/** The entries of one key, in their order; the first one is being tried. */
interface Lane {
  readonly ids: string[];
  dueAt: number;
  lastError: unknown;
}

type State = Omit<ConsumerState, 'retries'>;

/**
 * `ordering: 'key'`: an entry that fails holds back the later ones of its key until it is done or parked; the other keys go on. Needs a leased
 * stream: nobody else handles entries of these keys meanwhile. A restart tries the first entry of each lane at once. `'partition'`: one lane for all,
 * and nothing new is read before it is empty.
 */
export function createLanes(state: State): Retries {
  const { options, stop, inHand } = state;
  const store = createHeld(state);
  const { lanes, held } = store;
  const isOneLane = options.ordering === 'partition';
  let outages = 0;

  return {
    async add(rejected) {
      for (const { id, key } of rejected) await store.hold(key, id);
    },
    async addFailed(failed, error) {
      for (const { id, key } of failed) {
        if (isFinal(error)) await state.park(id, describeError(error), 1);
        else await store.hold(key, id, { lastError: error, dueAt: Date.now() + backoffMs(1, options.retryBaseMs) });
      }
    },
    addTaken: () => undefined,
    async admit(received) {
      const admitted: Received[] = [];
      for (const one of received) {
        if (lanes.has(one.key)) await store.hold(one.key, one.id);
        else admitted.push(one);
      }
      return admitted;
    },
    async recover() {
      const done = new Set(state.handled.ids);
      for (let from: string | undefined, isMore = true; isMore; isMore = from !== undefined) {
        const page = await options.log.adopt(from, PAGE, 'also');
        if (page.deleted > 0) state.countDeleted(page.deleted);
        for (const entry of page.items) if (!inHand.has(entry.id) && !done.has(entry.id)) await store.hold(keyOf(state, entry), entry.id);
        from = page.next;
      }
    },
    async work() {
      for (const [key, lane] of lanes) {
        if (stop.aborted) return;
        if (lane.dueAt > Date.now()) continue;
        if ((await workLane(state, lane, () => store.next(key, lane))) === 'unavailable') return pause(backoffMs((outages += 1), options.retryBaseMs), stop);
        outages = 0;
      }
    },
    ids: () => held,
    untilDueMs(atMost) {
      let earliest = Infinity;
      for (const { dueAt } of lanes.values()) earliest = Math.min(earliest, dueAt);
      return Math.min(atMost, Math.max(0, earliest - Date.now()));
    },
    isIdle: () => held.size === 0,
    // While the sink is away a lane must not fill up behind it: nothing in it has failed.
    isFull: () => held.size >= MAX_HELD || ((outages > 0 || isOneLane) && held.size > 0),
  };
}

/** What is held, by key, bounded. */
function createHeld(state: State) {
  const lanes = new Map<string, Lane>();
  const held = new Set<string>();
  const parkWhole = async (key: string, lane: Lane): Promise<void> => {
    const reason = `more than ${MAX_LANE} entries of one key were waiting for one that fails: ${describeError(lane.lastError ?? 'not handled yet')}`;
    for (const id of lane.ids) {
      await state.park(id, reason, 1);
      held.delete(id);
    }
    lanes.delete(key);
  };
  return {
    lanes, held,
    async hold(key: string, id: string, more: Partial<Lane> = {}): Promise<void> {
      if (held.has(id)) return;
      const lane = lanes.get(key) ?? { ids: [], dueAt: 0, lastError: undefined };
      lanes.set(key, Object.assign(lane, more));
      lane.ids.push(id);
      held.add(id);
      if (lane.ids.length > MAX_LANE && state.options.ordering === 'key') await parkWhole(key, lane);
    },
    /** The first one is done with. */
    next(key: string, lane: Lane): void {
      const id = lane.ids.shift();
      if (id !== undefined) held.delete(id);
      if (lane.ids.length === 0) lanes.delete(key);
    },
  };
}

/** Until the lane is empty, fails, or the sink is away. */
async function workLane(state: State, lane: Lane, next: () => void): Promise<'done' | 'later' | 'unavailable'> {
  for (let id = lane.ids[0]; id !== undefined && !state.stop.aborted; id = lane.ids[0]) {
    const outcome = await handleSingle(state, id);
    if (outcome.kind === 'unavailable') return 'unavailable';
    if (outcome.kind === 'failed') {
      lane.lastError = outcome.error;
      lane.dueAt = Date.now() + backoffMs(Math.max(1, outcome.attempts - 1), state.options.retryBaseMs);
      return 'later';
    }
    next();
  }
  return 'done';
}

/** What is no event has no order to keep, but where everything has. */
function keyOf({ options }: State, entry: RawEntry): string {
  if (options.ordering === 'partition') return '';
  const decoded = decodeEntry(options.topic, entry);
  return decoded.kind === 'event' ? options.topic.options.keyOf(decoded.event) : `entry ${entry.id}`;
}
