import { describeError } from '@millrace/bus';
import type { ManagedBus, Topic } from '@millrace/bus';
import { announceErasures, eraseContext } from '@millrace/context';
import { groupsOfTopic, interactions, userErasures, userMerges } from '@millrace/contracts';
import type { Keys, Redis } from '@millrace/redis-kit';
import type { PoolClient } from 'pg';
import { z } from 'zod';
import { eraseRows } from './erase-rows.ts';
import type { ErasedUsers } from './erased-users.ts';
import { addOwnReceipts, findAnswered } from './erasure.repository.ts';
import type { ErasureJob, Progress } from './erasure.repository.ts';

export interface ErasureStepDeps {
  readonly redis: Redis;
  readonly keys: Keys;
  readonly bus: Pick<ManagedBus, 'publish' | 'eraseEntries' | 'eraseDeadLetters'>;
  readonly erased: Pick<ErasedUsers, 'refresh' | 'version'>;
  /** Whose receipts are waited for. */
  readonly services: readonly string[];
  /** What no group has passed by then goes all the same, milliseconds after the request. */
  readonly patienceMs: number;
  /** Services that have not answered are asked again so often, later a tenth of the job's age apart, five minutes at most. */
  readonly repeatMs: number;
}

/** A store that a step needs is away. */
export class StoreAwayError extends Error {
  override readonly name = 'StoreAwayError';
}

const WAIT_MS = 200;
const LONGEST_REPEAT_MS = 300_000;

/** What takes long (counts that are being built) is not asked for as often as what was missed. */
export const repeatAfterMs = (repeatMs: number, ageMs: number): number => Math.max(repeatMs, Math.min(LONGEST_REPEAT_MS, ageMs / 10));

async function inRedis<T>(work: Promise<T>): Promise<T> {
  return work.catch((error: unknown) => {
    throw new StoreAwayError(`Redis or the bus: ${describeError(error)}`, { cause: error });
  });
}

const mergeSchema = z.object({ from: z.string(), to: z.string() });
const jobSchema = z.object({ job: z.string() });

function parsed<S extends z.ZodType>(schema: S, text: string | undefined): z.output<S> | undefined {
  try {
    return schema.safeParse(JSON.parse(text ?? 'null')).data;
  } catch {
    return undefined;
  }
}

/** Does this entry, or dead letter, name one of the users? */
const theirs = (users: readonly string[]) => {
  const names = new Set(users);
  return {
    interaction: (fields: ReadonlyMap<string, string>): boolean => names.has(fields.get('user_id') ?? ''),
    merge: (fields: ReadonlyMap<string, string>): boolean => {
      const merge = parsed(mergeSchema, fields.get('data'));
      return [fields.get('key'), merge?.from, merge?.to].some((name) => name !== undefined && names.has(name));
    },
  };
};

/** Tells every service once more. */
async function publish({ bus }: ErasureStepDeps, { job, users, attempt }: ErasureJob): Promise<number> {
  await inRedis(bus.publish(userErasures, [{ type: 'erase', job, attempt: attempt + 1, users: [...users] }]));
  return attempt + 1;
}

/** Every store, once: rows and receipts in the given transaction, the context, then the other services. `next`: what follows when all of it is done. */
async function eraseEverywhere(deps: ErasureStepDeps, client: PoolClient, job: ErasureJob, next: 'draining' | 'checking'): Promise<Progress> {
  const { erased, isAll } = await eraseRows(client, job.users);
  const receipts = [...erased].map(([store, count]) => ({ store, erased: count, due: 0 }));
  if (!isAll) {
    await addOwnReceipts(client, job.job, receipts);
    return { phase: job.phase, waitingFor: [], delayMs: 0 };
  }
  let contexts = 0;
  for (const user of job.users) contexts += await inRedis(eraseContext(deps.redis, deps.keys, user));
  const published = await publish(deps, job);
  await addOwnReceipts(client, job.job, [...receipts, { store: 'context', erased: contexts, due: 0 }]);
  return { phase: next, waitingFor: [], delayMs: WAIT_MS, published, fromAttempt: published };
}

const lettersOf = ({ bus }: ErasureStepDeps, topic: Topic, isTheirs: (fields: ReadonlyMap<string, string>) => boolean): Promise<number> =>
  inRedis(bus.eraseDeadLetters({ topic, isTheirs, groups: groupsOfTopic(topic.name) }));

/** What is left in streams and dead letters. */
async function drain(deps: ErasureStepDeps, client: PoolClient, { job, users, ageMs }: ErasureJob): Promise<number> {
  const { bus, patienceMs } = deps;
  const isForced = ageMs > patienceMs;
  const { interaction, merge } = theirs(users);
  const events = await inRedis(bus.eraseEntries({ topic: interactions, isTheirs: interaction, isForced }));
  const merges = await inRedis(bus.eraseEntries({ topic: userMerges, isTheirs: merge, isForced }));
  const letters = (await lettersOf(deps, interactions, interaction)) + (await lettersOf(deps, userMerges, merge));
  await addOwnReceipts(client, job, [{ store: interactions.name, ...events }, { store: userMerges.name, ...merges }, { store: 'dead letters', erased: letters, due: 0 }]);
  return events.due + merges.due;
}

/** Services that have not answered with nothing due, in words; they are asked again now and then. */
async function askUntilAnswered(deps: ErasureStepDeps, client: PoolClient, job: ErasureJob): Promise<{ readonly waitingFor: readonly string[]; readonly published?: number }> {
  const answered = await findAnswered(client, job.job, job.fromAttempt);
  const missing = deps.services.filter((service) => !answered.has(service));
  const waitingFor = missing.map((service) => `receipts of ${service}`);
  return missing.length > 0 && job.askedMs > repeatAfterMs(deps.repeatMs, job.ageMs) ? { waitingFor, published: await publish(deps, job) } : { waitingFor };
}

/** The events that told of the job name its users: they go, too. */
async function forgetJob(deps: ErasureStepDeps, { job, ageMs }: ErasureJob): Promise<number> {
  const isTheirs = (fields: ReadonlyMap<string, string>): boolean => fields.get('key') === job || parsed(jobSchema, fields.get('data'))?.job === job;
  await lettersOf(deps, userErasures, isTheirs);
  return (await inRedis(deps.bus.eraseEntries({ topic: userErasures, isTheirs, isForced: ageMs > deps.patienceMs }))).due;
}

/**
 * One step of a job, inside the transaction that holds it. Every effect is safe to repeat: a crash between two of them does the phase again. Counts of
 * rows are exact; of what is in Redis a crash may count less than there was.
 * @throws StoreAwayError where Redis does not answer: the job waits
 */
export async function advanceErasure(deps: ErasureStepDeps, client: PoolClient, job: ErasureJob): Promise<Progress> {
  switch (job.phase) {
    case 'marking':
      // Behind this no event of the user gets into a stream or a context, whoever takes it.
      await deps.erased.refresh();
      await inRedis(announceErasures(deps.redis, deps.keys, deps.erased.version()));
      return { phase: 'erasing', waitingFor: [], delayMs: 0 };
    case 'erasing':
      return eraseEverywhere(deps, client, job, 'draining');
    case 'draining': {
      const due = await drain(deps, client, job);
      const { waitingFor, published } = await askUntilAnswered(deps, client, job);
      const events = due > 0 ? [`${due} events that a consumer has not acknowledged yet`] : [];
      if (due === 0 && waitingFor.length === 0) return { phase: 'again', waitingFor: [], delayMs: 0 };
      return { phase: 'draining', waitingFor: [...events, ...waitingFor], delayMs: WAIT_MS + Math.min(10_000, job.ageMs / 10), ...(published !== undefined && { published }) };
    }
    case 'again':
      return eraseEverywhere(deps, client, job, 'checking');
    case 'checking': {
      const { waitingFor, published } = await askUntilAnswered(deps, client, job);
      if (waitingFor.length > 0) return { phase: 'checking', waitingFor, delayMs: WAIT_MS + Math.min(10_000, job.ageMs / 10), ...(published !== undefined && { published }) };
      const left = await forgetJob(deps, job);
      return left > 0 ? { phase: 'checking', waitingFor: ['acknowledgements of the services'], delayMs: WAIT_MS } : { phase: 'done', waitingFor: [], delayMs: 0 };
    }
    case 'done':
      break;
  }
  return { phase: 'done', waitingFor: [], delayMs: 0 };
}
