import type { Keys, Redis } from '@millrace/redis-kit';
import { backoffMs, pause } from '../backoff.ts';
import { describeError } from '../errors.ts';
import type { BlockingReader } from './blocking-reader.ts';
import { startBroadcast } from './broadcast.ts';
import type { BroadcastDeps } from './broadcast.ts';
import { UnsupportedServerError } from './features.ts';
import type { ServerFeatures } from './features.ts';
import type { Started } from './group-subscription.ts';
import { isSetCurrent, keysOf, PartitionMismatchError, readLayout } from './layout.ts';

export interface BroadcastSubscriptionDeps extends Omit<BroadcastDeps, 'stream' | 'reader'> {
  readonly control: Redis;
  readonly openReader: (stream: string) => BlockingReader;
  readonly keys: Keys;
  readonly partitions: number | undefined;
  readonly probe: () => Promise<ServerFeatures>;
}

const LOOK_EVERY_MS = 1_000;

/** Reads every current partition from its tail; when the topic moves to other partitions, it goes on there, with a gap. */
export function startBroadcastSubscription(deps: BroadcastSubscriptionDeps): Started {
  const stopping = new AbortController();
  const firstTry = Promise.withResolvers<void>();
  firstTry.promise.catch(() => undefined);
  const running = follow(deps, stopping.signal, firstTry);
  return {
    registered: firstTry.promise,
    async close() {
      stopping.abort();
      await running;
    },
  };
}

async function follow(deps: BroadcastSubscriptionDeps, stop: AbortSignal, firstTry: PromiseWithResolvers<void>): Promise<void> {
  const { control, keys, topic, logger } = deps;
  // Looked at when the service starts: a running one goes along with a repartitioning.
  let wanted = deps.partitions;
  for (let failures = 0; !stop.aborted; ) {
    try {
      await deps.probe();
      const layout = await readLayout(control, keys, topic.name, wanted);
      wanted = undefined;
      failures = 0;
      const partitions = keysOf(keys, topic.name, layout.current);
      const started = partitions.map(({ stream }) => startBroadcast({ ...deps, stream, reader: deps.openReader(stream) }));
      void Promise.all(started.map(({ registered }) => registered)).then(() => firstTry.resolve());
      await untilMoved(() => isSetCurrent(control, keys, topic.name, layout.current), stop);
      await Promise.all(started.map((one) => one.close()));
    } catch (error) {
      failures += 1;
      if (error instanceof PartitionMismatchError || error instanceof UnsupportedServerError) firstTry.reject(error);
      firstTry.resolve();
      if (failures === 1 || failures % 20 === 0) logger.warn({ topic: topic.name, failures, error: describeError(error) }, 'bus is not available: trying again');
      await pause(backoffMs(failures), stop);
    }
  }
  firstTry.resolve();
}

async function untilMoved(isCurrent: () => Promise<boolean>, stop: AbortSignal): Promise<void> {
  while (!stop.aborted) {
    await pause(LOOK_EVERY_MS, stop);
    // The readers report what is wrong with the broker.
    if (!stop.aborted && !(await isCurrent().catch(() => true))) return;
  }
}
