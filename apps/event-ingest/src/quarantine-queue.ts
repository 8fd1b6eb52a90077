import { describeError } from '@millrace/bus';
import { within } from '@millrace/service';
import type { Logger } from '@millrace/service';
import { DatabaseError } from 'pg';
import type { NewQuarantined } from './quarantine.repository.ts';

export interface QuarantineQueue {
  /** Rows that still fit. */
  room(): number;
  push(rows: readonly NewQuarantined[]): void;
  /** Resolves once everything so far is written or given up; rejects where Postgres does not take it now. */
  flush(): Promise<void>;
  /** Writes what waits, for at most five seconds. Returns how many rows are lost. */
  close(): Promise<number>;
}

export interface QuarantineQueueDeps {
  readonly insert: (items: readonly NewQuarantined[]) => Promise<void>;
  readonly onWritten: (rows: readonly NewQuarantined[]) => void;
  /** Postgres refuses the values themselves. */
  readonly onRefused: (rows: readonly NewQuarantined[]) => void;
  readonly logger: Logger;
  readonly retryMs?: number;
}

/** At most so many wait in memory: 16 MB of text. */
const WAITING = 2_000;
const BATCH = 200;
const CLOSE_MS = 5_000;

/** What no repetition mends. */
const isRefused = (error: unknown): boolean => error instanceof DatabaseError && /^(22|23|42)/.test(error.code ?? '');

/** Rows on their way to Postgres: written in batches at once, tried again every second while it is away. */
export function createQuarantineQueue({ insert, onWritten, onRefused, logger, retryMs = 1_000 }: QuarantineQueueDeps): QuarantineQueue {
  let waiting: NewQuarantined[] = [];
  let writing: Promise<void> | undefined;
  let isFailing = false;

  const drain = async (): Promise<void> => {
    while (waiting.length > 0) {
      const batch = waiting.slice(0, BATCH);
      try {
        await insert(batch);
        onWritten(batch);
      } catch (error) {
        if (!isRefused(error)) throw error;
        logger.error({ error: describeError(error), events: batch.length }, 'refused events cannot be stored');
        onRefused(batch);
      }
      waiting = waiting.slice(batch.length);
    }
  };
  /** One writer at a time; whoever comes while it writes waits for the same one, which takes theirs, too. */
  const flush = (): Promise<void> => {
    writing ??= drain().finally(() => (writing = undefined));
    return writing;
  };
  const tryFlush = async (flushed = flush()): Promise<void> => {
    try {
      await flushed;
      isFailing = false;
    } catch (error) {
      if (!isFailing) logger.warn({ error: describeError(error), events: waiting.length }, 'refused events wait for Postgres');
      isFailing = true;
    }
  };
  const timer = setInterval(() => { if (waiting.length > 0) void tryFlush(); }, retryMs);
  return {
    room: () => WAITING - waiting.length,
    push(rows) {
      waiting.push(...rows);
      if (!isFailing) void tryFlush();
    },
    flush,
    async close() {
      clearInterval(timer);
      await tryFlush(within(CLOSE_MS, flush(), () => new Error(`Postgres did not answer within ${CLOSE_MS} ms`)));
      return waiting.length;
    },
  };
}
