import type { Logger } from '@millrace/service';
import { Queue, Worker } from 'bullmq';
import type { Redis } from '@millrace/redis-kit';

export interface SweepScheduleDeps {
  /** BullMQ blocks on its connections: each needs maxRetriesPerRequest null. */
  readonly connect: (role: 'background' | 'blocking', silentSocketMs?: number) => Redis;
  readonly prefix: string;
  /** Distinguishes installations and tests that share a Redis. */
  readonly queue: string;
  readonly everyMs: number;
  /** One sweep. Never called again before it resolved; the leader lock keeps other instances out. */
  readonly run: () => Promise<void>;
  readonly logger: Logger;
}

const SCHEDULER = 'sweep';
/** BullMQ's longest block is 10 s, as long as a socket may be silent by default: an idle schedule would be cut off at each interval. */
const SILENT_SOCKET_MS = 20_000;

/** A BullMQ schedule for all instances together. It lives in Redis, so it is looked for every interval and made again where Redis lost it. */
export async function startSweepSchedule({ connect, prefix, queue: name, everyMs, run, logger }: SweepScheduleDeps): Promise<{ close(): Promise<void> }> {
  const connections = { queue: connect('background'), worker: connect('blocking', SILENT_SOCKET_MS) };
  const queue = new Queue(name, { connection: connections.queue, prefix, defaultJobOptions: { removeOnComplete: 10, removeOnFail: 10 } });
  const worker = new Worker(name, async () => run(), { connection: connections.worker, prefix, concurrency: 1, lockDuration: 60_000 });
  const warn = (error: unknown): void => logger.warn({ err: error }, 'sweep schedule');
  queue.on('error', warn);
  worker.on('error', warn);
  worker.on('failed', (_job, error) => logger.warn({ err: error }, 'sweep failed, the next one begins where the last completed one did'));
  const ensure = async (): Promise<void> => {
    if ((await queue.getJobScheduler(SCHEDULER)) === undefined) await queue.upsertJobScheduler(SCHEDULER, { every: everyMs }, { name: SCHEDULER });
  };
  await queue.upsertJobScheduler(SCHEDULER, { every: everyMs }, { name: SCHEDULER });
  const timer = setInterval(() => void ensure().catch(warn), everyMs);
  return {
    close: async () => {
      clearInterval(timer);
      await worker.close();
      await queue.close();
      connections.queue.disconnect();
      connections.worker.disconnect();
    },
  };
}
