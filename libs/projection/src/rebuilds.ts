import { AppError, notFound } from '@millrace/service';
import type { RebuildJob, RebuildStore } from './rebuild-job.ts';
import type { RebuildJournal } from './rebuild-journal.ts';
import { createRebuildLoop } from './rebuild-loop.ts';
import type { RebuildLoop, RebuildsDeps } from './rebuild-loop.ts';

export interface Rebuilds extends RebuildLoop {
  /** Adds a job. @throws AppError conflict where one is unfinished */
  readonly request: (options?: { readonly force?: boolean }) => Promise<RebuildJob>;
  readonly list: (limit: number) => Promise<readonly RebuildJob[]>;
  /** @throws AppError not_found */
  readonly get: (id: number) => Promise<RebuildJob>;
  /** @throws AppError not_found; conflict from the swap on */
  readonly cancel: (id: number) => Promise<RebuildJob>;
  /** Adds the job that makes the one before the swap live again, up to date. @throws AppError not_found, conflict */
  readonly rollback: (id: number) => Promise<RebuildJob>;
}

/** Rebuild jobs of one store: asked for, looked at, and worked on by one instance at a time. */
export function createRebuilds(deps: RebuildsDeps): Rebuilds {
  const { journal, store } = deps;
  const loop = createRebuildLoop(deps);
  return {
    request: async ({ force = false } = {}) => {
      const job = await journal.add({ reason: 'manual', force });
      if (!job) throw new AppError('conflict', await busy(journal, store));
      void loop.look();
      return job;
    },
    list: (limit) => journal.list(limit),
    get: (id) => getJob(journal, store, id),
    cancel: async (id) => {
      const job = await getJob(journal, store, id);
      const marked = await journal.requestCancel(id);
      if (!marked) throw new AppError('conflict', job.finishedAt === null ? `${store.name}-${id} has swapped already: roll it back instead` : `${store.name}-${id} is ${(await getJob(journal, store, id)).phase} already`);
      void loop.look();
      return marked;
    },
    rollback: async (id) => {
      const { previous, builtFrom } = await rollbackOf(journal, store, id);
      const job = await journal.add({ reason: 'rollback', existing: { target: previous, since: earlier(builtFrom, OVERLAP_MS) } });
      if (!job) throw new AppError('conflict', await busy(journal, store));
      void loop.look();
      return job;
    },
    ...loop,
  };
}

/** What was live followed the stream, which may have been late; what was later still, the validation finds. */
const OVERLAP_MS = 300_000;
const earlier = (timestamp: string, ms: number): string => new Date(Date.parse(timestamp) - ms).toISOString();

async function busy(journal: RebuildJournal, store: RebuildStore): Promise<string> {
  const job = await journal.findRunning();
  return job ? `${store.name}-${job.id} is running already: wait for it or cancel it` : 'a rebuild was running a moment ago: try again';
}

async function getJob(journal: RebuildJournal, { name }: RebuildStore, id: number): Promise<RebuildJob> {
  const job = await journal.find(id);
  if (!job) throw notFound(`the rebuild ${name}-${id}`);
  return job;
}

/** What a rollback of this job brings back. @throws AppError conflict with the reason why it cannot */
async function rollbackOf(journal: RebuildJournal, store: RebuildStore, id: number): Promise<{ readonly previous: string; readonly builtFrom: string }> {
  const job = await getJob(journal, store, id);
  const refuse = (why: string): AppError => new AppError('conflict', why);
  const itself = `${store.name}-${id}`;
  if (job.finishedAt === null) throw refuse(`${itself} is running: cancel it instead`);
  if (job.phase !== 'done') throw refuse(`${itself} is ${job.phase}: it never went live`);
  if (job.target !== (await store.live())) throw refuse(`${job.target ?? itself} is not live any more: roll back the rebuild that came after ${itself}`);
  if (job.previous === null || job.builtFrom === null) throw refuse(`nothing was live before ${itself}`);
  if (!job.isKept || !(await store.isThere(job.previous))) throw refuse(`${job.previous} is kept no longer: start a rebuild`);
  return { previous: job.previous, builtFrom: job.builtFrom };
}
