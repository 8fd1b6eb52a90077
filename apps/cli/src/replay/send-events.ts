import { setTimeout as delay } from 'node:timers/promises';
import { ProblemError, TransportError } from '@millrace/client/contract';
import type { Client } from '@millrace/client/contract';
import { logEvents } from '@millrace/contracts';
import type { LoggedEvents } from '@millrace/contracts';
import { isPassing } from '../ask-patiently.ts';
import { FailedError } from '../failed-error.ts';
import type { Ready } from './pace.ts';

export interface SendDeps {
  readonly client: Pick<Client, 'upload'>;
  readonly signal: AbortSignal;
  /** One sentence when it begins to wait. */
  readonly say: (line: string) => void;
  readonly giveUpAfterMs?: number;
}

const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 30_000;
/**
 * Sends batches one after the other, waits as `Retry-After` says where it is told to come later, and sends the same again: event ids make that harmless.
 * undefined: it was aborted while it waited, and the batch may not have been taken.
 */
export function createSender({ client, signal, say, giveUpAfterMs = 600_000 }: SendDeps): (batch: readonly Ready[]) => Promise<LoggedEvents | undefined> {
  let hasSent = false;
  return async (batch) => {
    const body = batch.map(({ event }) => JSON.stringify(event)).join('\n');
    for (let attempt = 0, waited = 0; ; attempt += 1) {
      try {
        const answer = await client.upload(logEvents, { body, contentType: 'application/x-ndjson' });
        hasSent = true;
        return answer.body;
      } catch (error) {
        // Where nothing has worked yet, the address is wrong rather than busy.
        if (!isPassing(error) || (error instanceof TransportError && !hasSent)) throw error;
        const asked = error instanceof ProblemError ? error.retryAfterMs : undefined;
        const waitMs = Math.min(asked ?? FIRST_WAIT_MS * 2 ** Math.min(attempt, 10), LONGEST_WAIT_MS);
        if (waited + waitMs > giveUpAfterMs) throw new FailedError(`gave up after ${Math.round(giveUpAfterMs / 1_000)} s: ${error instanceof Error ? error.message : ''}`, { cause: error });
        if (attempt === 0) say(`waiting: ${error instanceof Error ? error.message : ''}`);
        waited += Math.max(waitMs, 1);
        await delay(waitMs, undefined, { signal }).catch(() => undefined);
        if (signal.aborted) return undefined;
      }
    }
  };
}
