import { backoffMs, pause } from './backoff.ts';
import type { ConsumerState } from './consumer.ts';
import { describeError, isFinal, isUnavailable } from './errors.ts';
import { handleSingle } from './retries.ts';
import type { Retries } from './retries.ts';

const PAGE = 1_000;
const LOOK_EVERY_MS = 1_000;
/** Entries that a group may have put off before its consumers stop reading new ones. */
const MAX_PUT_OFF = 10_000;

/** An entry that waits alone for its part of the sink comes again after some seconds, and later the more are put off: some 200 of them a second at most. */
const aloneMs = (putOff: number, retryBaseMs: number): number => Math.min(5_000, retryBaseMs * 50) * (0.5 + Math.random() / 2) + putOff * 5;

/**
 * `ordering: 'none'`: an entry that fails is put off, in the broker, so that the back-off outlives this consumer; whoever is first takes it
 * when it is due. Others overtake it.
 */
export function createSingles(state: Omit<ConsumerState, 'retries'>): Retries {
  const { options, stop, inHand } = state;
  const { log, retryBaseMs } = options;
  const waiting = new Set<string>();
  let dueAt = 0; // looks once at the start, for what an earlier run has put off
  let putOff = 0;
  let outages = 0;

  /** `attempts`: that failed; undefined: none, its part of the sink is away. */
  const putOffBy = async (id: string, attempts: number | undefined): Promise<void> => {
    const delayMs = attempts === undefined ? aloneMs(putOff, retryBaseMs) : backoffMs(Math.max(1, attempts), retryBaseMs);
    await log.delay(id, delayMs);
    dueAt = Math.min(dueAt, Date.now() + delayMs);
  };
  const collectDue = async (): Promise<void> => {
    const due = await log.takeDue(options.batchSize);
    for (const id of due.ids) waiting.add(id);
    if (due.deleted > 0) state.countDeleted(due.deleted);
    putOff = due.waiting;
    // Others put off too, and may be gone when it is due.
    dueAt = Date.now() + Math.min(LOOK_EVERY_MS, due.nextInMs ?? LOOK_EVERY_MS);
  };
  /** A page of 1,000 at a time: what is put off, handled or in hand is not for us. */
  const recover = async (): Promise<void> => {
    const done = new Set(state.handled.ids);
    for (let from: string | undefined, isMore = true; isMore; isMore = from !== undefined) {
      const page = options.isLeased ? await adoptIds(state, from) : await log.pending(from, PAGE);
      for (const id of page.items) if (!inHand.has(id) && !done.has(id)) waiting.add(id);
      from = page.next;
    }
  };

  return {
    add: async (rejected) => rejected.forEach(({ id }) => waiting.add(id)),
    async addFailed(failed, error) {
      for (const { id } of failed) {
        if (isFinal(error)) await state.park(id, describeError(error), 1);
        else await putOffBy(id, isUnavailable(error) ? undefined : 1);
      }
    },
    addTaken: (ids) => ids.forEach((id) => inHand.has(id) || waiting.add(id)),
    admit: async (received) => received,
    recover,
    async work() {
      if (Date.now() >= dueAt) await collectDue();
      for (const id of waiting) {
        if (stop.aborted) return;
        const outcome = await handleSingle(state, id);
        if (outcome.kind === 'unavailable' && !outcome.isAlone) return pause(backoffMs((outages += 1), retryBaseMs), stop);
        outages = 0;
        waiting.delete(id);
        if (outcome.kind !== 'settled') await putOffBy(id, outcome.kind === 'failed' ? outcome.attempts - 1 : undefined);
      }
    },
    ids: () => waiting,
    untilDueMs: (atMost) => (waiting.size > 0 ? 0 : Math.min(atMost, Math.max(0, dueAt - Date.now()))),
    isIdle: () => waiting.size === 0 && putOff === 0,
    isFull: () => waiting.size >= options.batchSize * 4 || putOff >= MAX_PUT_OFF,
  };
}

async function adoptIds(state: Omit<ConsumerState, 'retries'>, from: string | undefined): Promise<{ items: readonly string[]; next: string | undefined }> {
  const page = await state.options.log.adopt(from, PAGE, 'not');
  if (page.deleted > 0) state.countDeleted(page.deleted);
  return { items: page.items.map(({ id }) => id), next: page.next };
}
