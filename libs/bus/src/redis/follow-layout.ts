import type { Keys, Redis } from '@millrace/redis-kit';
import { backoffMs, pause } from '../backoff.ts';
import { describeError } from '../errors.ts';
import type { BusLogger } from '../metrics.ts';
import type { Started } from '../start-reading.ts';
import { UnsupportedServerError } from './features.ts';
import type { ServerFeatures } from './features.ts';
import { PartitionMismatchError, readLayout } from './layout.ts';
import type { Layout } from './layout.ts';

export interface FollowDeps {
  readonly control: Redis;
  readonly keys: Keys;
  readonly topic: { readonly name: string };
  /** As configured; undefined: whatever the topic has. */
  readonly partitions: number | undefined;
  /** Rejects with UnsupportedServerError where the server is too old. */
  readonly probe: () => Promise<ServerFeatures>;
  readonly logger: BusLogger;
}

/** Whatever reads one set of partitions until nothing can come any more. */
export interface Running {
  readonly registered: Promise<void>;
  readonly ended: Promise<void>;
  close(): Promise<void>;
}

const isMisconfigured = (error: unknown): boolean => error instanceof PartitionMismatchError || error instanceof UnsupportedServerError;

/** Reads wherever the topic's events are, and goes along when it moves to other partitions. */
export function followLayout(deps: FollowDeps, retryBaseMs: number | undefined, start: (layout: Layout) => Promise<Running>): Started {
  const stopping = new AbortController();
  const firstTry = Promise.withResolvers<void>();
  // Whoever subscribes looks at it; a failure after the first try is logged.
  firstTry.promise.catch(() => undefined);
  const running = run(deps, stopping.signal, { firstTry, retryBaseMs, start });
  return {
    registered: firstTry.promise,
    async close() {
      stopping.abort();
      await running;
    },
  };
}

interface Following {
  readonly firstTry: PromiseWithResolvers<void>;
  readonly retryBaseMs: number | undefined;
  readonly start: (layout: Layout) => Promise<Running>;
}

async function run({ control, keys, topic, partitions, probe, logger }: FollowDeps, stop: AbortSignal, { firstTry, retryBaseMs, start }: Following): Promise<void> {
  const stopped = new Promise<void>((resolve) => stop.addEventListener('abort', () => resolve(), { once: true }));
  // Looked at when the service starts: a running one goes along with a repartitioning.
  let wanted = partitions;
  for (let failures = 0; !stop.aborted; ) {
    try {
      await probe();
      const layout = await readLayout(control, keys, topic.name, wanted);
      wanted = undefined;
      const running = await start(layout);
      failures = 0;
      void running.registered.then(() => firstTry.resolve());
      await Promise.race([running.ended, stopped]);
      await running.close();
    } catch (error) {
      failures += 1;
      if (isMisconfigured(error)) firstTry.reject(error);
      firstTry.resolve();
      if (failures === 1 || failures % 20 === 0) logger.warn({ topic: topic.name, failures, error: describeError(error) }, 'bus is not available: trying again');
      await pause(backoffMs(failures, retryBaseMs), stop);
    }
  }
  firstTry.resolve();
}

const LOOK_EVERY_MS = 1_000;

/** Looks about every second; whoever reads reports what is wrong with the broker. */
export async function untilTrue(look: () => Promise<boolean>, stop: AbortSignal): Promise<void> {
  while (!stop.aborted) {
    await pause(LOOK_EVERY_MS, stop);
    if (!stop.aborted && (await look().catch(() => false))) return;
  }
}
