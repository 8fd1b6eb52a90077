import { SinkUnavailableError } from '@millrace/bus';
import type { BatchHandler } from '@millrace/bus';
import type { Interaction } from '@millrace/contracts';
import type { InteractionStore } from './interaction.repository.ts';

/** Statements of one writer at the same time, each on a connection of its own: while Postgres works on one, the next is prepared and sent. */
export const WRITER_STATEMENTS = 2;

export interface WriteInteractionsDeps {
  readonly store: Pick<InteractionStore, 'insert'>;
  readonly onWritten: () => void;
}

/**
 * Writes the log, each event once by (month, event id): safe to call twice with the same events, in any order. Larger batches go in two statements at the
 * same time; it ends when both have. Where one fails the batch is delivered again, and what the other has written is nothing new then.
 */
export const writeInteractions =
  ({ store, onWritten }: WriteInteractionsDeps): BatchHandler<Interaction> =>
  async (events) => {
    const size = Math.ceil(events.length / WRITER_STATEMENTS);
    const parts = Array.from({ length: events.length < WRITER_STATEMENTS ? 1 : WRITER_STATEMENTS }, (_, part) => events.slice(part * size, (part + 1) * size));
    const failures = (await Promise.allSettled(parts.map((part) => store.insert(part)))).flatMap((done): unknown[] => (done.status === 'rejected' ? [done.reason] : []));
    // Nobody's fault goes first: it must not count against an event.
    if (failures.length > 0) throw failures.find((error) => error instanceof SinkUnavailableError) ?? failures[0];
    onWritten();
  };
