import { describeError } from '@millrace/bus';
import type { ContextWriter } from '@millrace/context';
import { infoOfMasters, isCluster, onReconnect } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';
import { untilDone } from '@millrace/service';
import type { Logger } from '@millrace/service';
import { Counter } from 'prom-client';
import type { Registry } from 'prom-client';
import type { Acknowledged } from './acknowledged.ts';
import type { KnownInteraction } from './interaction.repository.ts';

export interface RetransmitDeps {
  readonly redis: Redis;
  readonly context: Pick<ContextWriter, 'write'>;
  readonly acknowledged: Acknowledged;
  readonly signal: AbortSignal;
  readonly metrics: Registry;
  readonly logger: Logger;
}

const SLICE = 200;

const runIdOf = async (redis: Redis): Promise<string> => (await infoOfMasters(redis, ['run_id'])).map(([id]) => id ?? '').toSorted().join(' ');

/**
 * Runs what was acknowledged in the last seconds through the event script again, after each reconnect to another Redis than before (its run_id;
 * on Cluster after each lost connection), and when `lost` is called. What survived is dropped by its event id. Resolves once it watches.
 */
export async function startRetransmission({ redis, context, acknowledged, signal, metrics, logger }: RetransmitDeps): Promise<{ lost(): void }> {
  const again = new Counter({ name: 'events_retransmitted_total', help: 'Events that were sent to Redis again because it may have lost them', registers: [metrics] });
  const retry = { signal, firstDelayMs: 20, maxDelayMs: 1_000, onFailure: (error: unknown) => logger.warn({ error: describeError(error) }, 'events could not be sent again, it will be tried again') };
  let runId = await runIdOf(redis).catch(() => '');

  const send = async (events: readonly KnownInteraction[]): Promise<void> => {
    for (let start = 0; start < events.length; start += SLICE) {
      const slice = events.slice(start, start + SLICE);
      await untilDone(async () => {
        await context.write(slice);
        return true;
      }, retry);
      again.inc(slice.length);
    }
    if (events.length > 0) logger.info({ events: events.length }, 'what Redis may have lost was sent again');
  };
  const stopped = (error: unknown): void => {
    if (!signal.aborted) logger.error({ error: describeError(error) }, 'events may be lost: they could not be sent again');
  };
  const compare = async (events: readonly KnownInteraction[]): Promise<void> => {
    const now = await untilDone(() => runIdOf(redis), retry);
    const isSame = now === runId;
    runId = now;
    if (!isSame || isCluster(redis)) await send(events);
  };
  // Taken at once: what is acknowledged from now on is in the Redis that is there now.
  onReconnect(redis, () => void compare(acknowledged.recent()).catch(stopped));
  return { lost: () => void send(acknowledged.recent()).catch(stopped) };
}
