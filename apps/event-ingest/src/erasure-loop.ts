import { createSignal, describeError } from '@millrace/bus';
import { inTransaction } from '@millrace/database';
import type { Logger } from '@millrace/service';
import type { Pool, PoolClient } from 'pg';
import { Gauge } from 'prom-client';
import type { Registry } from 'prom-client';
import { StoreAwayError } from './erasure-job.ts';
import { claimErasure, saveFailure, saveProgress } from './erasure.repository.ts';
import type { ErasureJob, Progress } from './erasure.repository.ts';

export interface ErasureLoopDeps {
  /** Its own: a transaction is open while Redis is asked. */
  readonly pool: Pool;
  readonly advance: (client: PoolClient, job: ErasureJob) => Promise<Progress>;
  readonly pollMs?: number;
  readonly metrics: Registry;
  readonly logger: Logger;
}

export interface ErasureLoop {
  /** A job was recorded: look at once, or after the step in hand. */
  wake(): void;
  /** Ends after the step in hand. */
  close(): Promise<void>;
}

const OPEN = `select count(*)::int as open from events.erasures where phase <> 'done'`;

/** Works on the jobs, step by step, each in a transaction that holds its row: several instances share them, and a killed one leaves its job to the others. */
export function startErasureLoop({ pool, advance, pollMs = 500, metrics, logger }: ErasureLoopDeps): ErasureLoop {
  const open = new Gauge({ name: 'events_erasures_open', help: 'Erasures of users that are not done', registers: [metrics] });
  const stopping = new AbortController();
  const signal = createSignal();
  /** Undefined: nothing is due. */
  const step = async (): Promise<Progress | undefined> => {
    let claimed: ErasureJob | undefined;
    try {
      return await inTransaction(pool, async (client) => {
        claimed = await claimErasure(client);
        if (!claimed) return undefined;
        const progress = await advance(client, claimed);
        await saveProgress(client, claimed.job, progress);
        return progress;
      });
    } catch (error) {
      logger[error instanceof StoreAwayError ? 'warn' : 'error']({ error: describeError(error) }, 'an erasure waits');
      if (claimed) await saveFailure(pool, claimed.job, error instanceof StoreAwayError ? 'Redis' : 'a step that failed: see the log of event-ingest');
      throw error;
    }
  };
  const loop = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      const progress = await step().catch(() => undefined); // logged, and kept with the job where Postgres is there
      if (progress?.phase === 'done') logger.info('a user is erased');
      if (progress === undefined) open.set((await pool.query<{ open: number }>(OPEN).catch(() => undefined))?.rows[0]?.open ?? 0);
      if (progress === undefined) await signal.wait(pollMs);
    }
  };
  const running = loop();
  return {
    wake: () => signal.notify(),
    async close() {
      stopping.abort();
      signal.notify();
      await running;
    },
  };
}
