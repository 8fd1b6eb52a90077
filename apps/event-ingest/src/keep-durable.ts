import { SinkUnavailableError } from '@millrace/bus';
import { within } from '@millrace/service';
import { collectWrites } from './collect.ts';
import type { InteractionStore, KnownInteraction } from './interaction.repository.ts';

/** A caller waits. */
const TIMEOUT_MS = 5_000;

/**
 * EVENT_DURABILITY=always: resolves once Postgres has the rows, by the writer's own statement, so that what the writer inserts later is nothing new.
 * Requests share a statement; where Postgres refuses one of them each is tried alone, so that nobody answers for another's event.
 * @throws SinkUnavailableError where Postgres does not take them now, or not within 5 s
 */
export function keepDurable(store: Pick<InteractionStore, 'insert'>): (events: readonly KnownInteraction[]) => Promise<void> {
  const insert = async (events: readonly KnownInteraction[]): Promise<readonly undefined[]> => {
    await store.insert(events);
    return [];
  };
  const shared = collectWrites<undefined>({ write: insert });
  const keep = (events: readonly KnownInteraction[]): Promise<readonly undefined[]> =>
    shared.write(events).catch((error: unknown) => {
      if (error instanceof SinkUnavailableError) throw error;
      return insert(events);
    });
  return async (events) => {
    await within(TIMEOUT_MS, keep(events), () => new SinkUnavailableError(`Postgres did not answer within ${TIMEOUT_MS} ms`));
  };
}
