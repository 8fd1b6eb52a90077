import { PartialFailureError, SinkUnavailableError } from '@millrace/bus';
import type { BatchHandler } from '@millrace/bus';
import type { Interaction } from '@millrace/contracts';
import type { InteractionStore } from './interaction.repository.ts';

/** Statements of one writer at the same time, each on a connection of its own: while Postgres works on one, the next is prepared and sent. */
export const WRITER_STATEMENTS = 2;

export interface WriteInteractionsDeps {
  readonly store: Pick<InteractionStore, 'insert'>;
  readonly onWritten: () => void;
}

interface Part {
  readonly events: readonly Interaction[];
  readonly error?: unknown;
}

/**
 * Writes the log, each event once by (month, event id): safe to call twice with the same events, in any order. A batch goes in two statements at the same
 * time, and this ends when both have.
 * @throws PartialFailureError where Postgres refuses one of the statements, SinkUnavailableError where it takes nothing now
 */
export const writeInteractions =
  ({ store, onWritten }: WriteInteractionsDeps): BatchHandler<Interaction> =>
  async (events) => {
    const size = Math.ceil(events.length / WRITER_STATEMENTS);
    const write = async (part: readonly Interaction[]): Promise<Part> => {
      try {
        await store.insert(part);
        return { events: part };
      } catch (error) {
        return { events: part, error };
      }
    };
    const starts = Array.from({ length: WRITER_STATEMENTS }, (_, place) => place * size).filter((start) => start < events.length);
    const failed = (await Promise.all(starts.map((start) => write(events.slice(start, start + size))))).filter(({ error }) => error !== undefined);
    // Nobody's fault goes first: it must not count against an event.
    const unavailable = failed.find(({ error }) => error instanceof SinkUnavailableError);
    if (unavailable) throw unavailable.error;
    if (failed.length < starts.length) onWritten();
    if (failed.length > 0 && failed.length === starts.length) throw failed[0]?.error;
    if (failed.length > 0) throw new PartialFailureError(new Map(failed.flatMap((part) => part.events.map(({ meta }): [string, unknown] => [meta.streamId ?? '', part.error]))));
  };
