import type { SyncStats } from '@millrace/contracts';
import type { Logger } from '@millrace/service';

export interface ResyncJob {
  /** Starts a resync in the background; false where one is running here or on another instance. */
  start(): Promise<boolean>;
  /** Runs one and waits for it; undefined where another instance is at it. */
  readonly run: () => Promise<{ index: string; rows: number } | undefined>;
  state(): SyncStats['resync'];
}

export interface ResyncJobDeps {
  /** Under the leader lock: `work` is called with it, or undefined is answered. */
  readonly asLeader: <T>(work: (lost: AbortSignal) => Promise<T>) => Promise<{ readonly result: T } | undefined>;
  readonly resync: (onProgress: (rows: number) => void, lost: AbortSignal) => Promise<{ index: string; rows: number }>;
  readonly logger: Logger;
}

export function createResyncJob({ asLeader, resync, logger }: ResyncJobDeps): ResyncJob {
  let state: SyncStats['resync'] = { running: false, index: null, done: 0, error: null };
  const work = async (lost: AbortSignal): Promise<{ index: string; rows: number }> => {
    state = { running: true, index: null, done: 0, error: null };
    try {
      const done = await resync((rows) => void (state = { ...state, done: rows }), lost);
      state = { running: false, index: done.index, done: done.rows, error: null };
      logger.info(done, 'resync finished');
      return done;
    } catch (error) {
      state = { ...state, running: false, error: error instanceof Error ? error.message : 'failed' };
      logger.error({ err: error }, 'resync failed');
      throw error;
    }
  };
  return {
    state: () => state,
    run: async () => (await asLeader(work))?.result,
    start: async () => {
      if (state.running) return false;
      const { promise: begun, resolve } = Promise.withResolvers<boolean>();
      // The lock is held for as long as the work runs: answer as soon as it is ours, or somebody else's.
      asLeader(async (lost) => {
        resolve(true);
        return work(lost);
      }).then(() => resolve(false), () => resolve(false));
      return begun;
    },
  };
}
