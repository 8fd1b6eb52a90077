import type { BatchHandler } from '@millrace/bus';
import type { Interaction } from '@millrace/contracts';
import type { InteractionStore } from './interaction.repository.ts';

export interface WriteInteractionsDeps {
  readonly store: Pick<InteractionStore, 'insert'>;
  readonly onWritten: () => void;
}

/** Writes the log, each event once by (month, event id): safe to call twice with the same events, in any order. */
export const writeInteractions =
  ({ store, onWritten }: WriteInteractionsDeps): BatchHandler<Interaction> =>
  async (events) => {
    await store.insert(events);
    onWritten();
  };
