import type { Pool } from 'pg';

export interface OutboxWaker {
  /** Call it after a commit that wrote to the outbox. Returns at once and never throws: the relay polls anyway. */
  wake(): void;
}

/** Default channel of a schema's relay. */
export const outboxChannel = (schema: string): string => `${schema}_outbox`;

/**
 * Wakes the relay by NOTIFY in a transaction of its own (inside the writing transaction it would serialise all commits).
 * At most one NOTIFY a millisecond and one at a time for a process; calls in between are folded into the next one.
 */
export function createOutboxWaker(pool: Pick<Pool, 'query'>, { channel }: { readonly channel: string }): OutboxWaker {
  let isSending = false;
  let isWanted = false;
  let sentAt = 0;

  const send = async (): Promise<void> => {
    isSending = true;
    isWanted = false;
    sentAt = performance.now();
    try {
      await pool.query('select pg_notify($1, $2)', [channel, '']);
    } catch {
      // The relay's poll finds the row within 100 ms.
    }
    isSending = false;
    if (isWanted) schedule();
  };
  const schedule = (): void => {
    const waitMs = sentAt + 1 - performance.now();
    if (waitMs <= 0) {
      void send();
      return;
    }
    isSending = true;
    setTimeout(() => void send(), waitMs).unref();
  };
  return {
    wake() {
      if (isSending) isWanted = true;
      else schedule();
    },
  };
}
