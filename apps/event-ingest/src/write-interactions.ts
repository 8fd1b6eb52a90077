import type { BatchHandler } from '@millrace/bus';
import type { Interaction } from '@millrace/contracts';
import type { Pool } from 'pg';
import { insertInteractions } from './interaction.repository.ts';
import type { MonthPartitions } from './month-partitions.ts';

export interface WriteInteractionsDeps {
  readonly pool: Pool;
  readonly partitions: MonthPartitions;
  readonly onWritten: () => void;
}

/** Writes the log, each event once by (month, event id): safe to call twice with the same events, in any order. */
export const writeInteractions =
  ({ pool, partitions, onWritten }: WriteInteractionsDeps): BatchHandler<Interaction> =>
  async (events) => {
    await insertInteractions(pool, partitions, events);
    onWritten();
  };
