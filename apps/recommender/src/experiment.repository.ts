import type { Experiment, NewExperiment } from '@millrace/contracts';
import { EXPERIMENT_LIMITS } from '@millrace/contracts';
import { isViolation, UNIQUE_VIOLATION } from '@millrace/database';
import { AppError, notFound } from '@millrace/service';
import { sql } from 'kysely';
import type { Selectable } from 'kysely';
import type { RecsDb, RecsTrx } from './database.ts';
import type { ExperimentTables } from './experiment-tables.ts';

type Row = Selectable<ExperimentTables['recs.experiments']>;

const toText = (time: string): string => new Date(time).toISOString();
const orNull = (time: string | null): string | null => (time === null ? null : toText(time));
const toTime = (text: string | undefined): Date | null => (text === undefined ? null : new Date(text));
const toExperiment = ({ key, description, status, variants, audience, conversion_days, ...times }: Row): Experiment => ({
  key, description, status, variants, audience, conversion_days, starts_at: orNull(times.starts_at), ends_at: orNull(times.ends_at), created_at: toText(times.created_at), started_at: orNull(times.started_at), stopped_at: orNull(times.stopped_at),
});
const toColumns = ({ description, variants, audience, conversion_days, starts_at, ends_at }: Omit<NewExperiment, 'key'>) => ({
  description, variants: JSON.stringify(variants), audience, conversion_days, starts_at: toTime(starts_at), ends_at: toTime(ends_at),
});

/** Raised by every change; what is read with it, or after it, has that change. */
export async function readExperimentRevision(db: RecsDb): Promise<number> {
  return (await db.selectFrom('recs.experiment_state').select('revision').executeTakeFirstOrThrow()).revision;
}

/** The newest first. */
export async function listExperiments(db: RecsDb, status?: Experiment['status']): Promise<readonly Experiment[]> {
  const rows = await db.selectFrom('recs.experiments').selectAll().$if(status !== undefined, (query) => query.where('status', '=', status ?? 'draft')).orderBy('created_at', 'desc').orderBy('key').execute();
  return rows.map(toExperiment);
}

export async function getExperiment(db: RecsDb, key: string): Promise<Experiment> {
  const row = await db.selectFrom('recs.experiments').selectAll().where('key', '=', key).executeTakeFirst();
  if (!row) throw notFound(`the experiment ${key}`);
  return toExperiment(row);
}

/** One change after the other: whoever changes an experiment holds the row of the revision. */
export function changeExperiments<T>(locking: RecsDb, work: (trx: RecsTrx) => Promise<T>): Promise<T> {
  return locking.transaction().execute(async (trx) => {
    await sql`update recs.experiment_state set revision = revision + 1`.execute(trx);
    return work(trx);
  });
}

const taken = (key: string): AppError => new AppError('duplicate', `there is an experiment ${key} already`, { details: [{ in: 'body', pointer: '/key', detail: 'is the key of another experiment' }] });

/** Throws duplicate, and conflict where there are as many as there may be. */
export async function insertExperiment(trx: RecsTrx, { key, ...fields }: NewExperiment): Promise<Experiment> {
  const { count } = await trx.selectFrom('recs.experiments').select((of) => of.fn.countAll<string>().as('count')).executeTakeFirstOrThrow();
  if (Number(count) >= EXPERIMENT_LIMITS.stored) throw new AppError('conflict', `there are ${EXPERIMENT_LIMITS.stored} experiments already: delete old ones`);
  try {
    return toExperiment(await trx.insertInto('recs.experiments').values({ key, ...toColumns(fields) }).returningAll().executeTakeFirstOrThrow());
  } catch (error) {
    throw isViolation(error, UNIQUE_VIOLATION) ? taken(key) : error;
  }
}

const refuse = (sentence: string): AppError => new AppError('conflict', sentence);

export async function replaceExperiment(trx: RecsTrx, key: string, fields: Omit<NewExperiment, 'key'>): Promise<Experiment> {
  const { status } = await getExperiment(trx, key);
  if (status !== 'draft') throw refuse(`${key} was started: who sees what must not change. Stop it and create another one`);
  return toExperiment(await trx.updateTable('recs.experiments').set(toColumns(fields)).where('key', '=', key).returningAll().executeTakeFirstOrThrow());
}

/** With its log of lists. Clicks and purchases are shared with other experiments and go by age. */
export async function deleteExperiment(trx: RecsTrx, key: string): Promise<void> {
  const { status } = await getExperiment(trx, key);
  if (status === 'running') throw refuse(`${key} is running: stop it first`);
  await trx.deleteFrom('recs.experiments').where('key', '=', key).execute();
  await trx.deleteFrom('recs.experiment_lists').where('experiment', '=', key).execute();
}

const knobsOf = ({ variants }: Experiment): ReadonlySet<string> => new Set(variants.flatMap(({ settings }) => Object.keys(settings)));

/** Are there moments at which both are shown? */
function isBeside(a: Experiment, b: Experiment): boolean {
  const [startsA, startsB] = [a, b].map((one) => Date.parse(one.starts_at ?? '1970-01-01T00:00:00Z'));
  const [endsA, endsB] = [a, b].map((one) => Date.parse(one.ends_at ?? '9999-12-31T00:00:00Z'));
  return Math.max(startsA ?? 0, startsB ?? 0) < Math.min(endsA ?? 0, endsB ?? 0);
}

/** Starting one that runs changes nothing. Throws conflict for a stopped one, and where a running one turns the same knob. */
export async function startExperiment(trx: RecsTrx, key: string, now: Date): Promise<Experiment> {
  const wanted = await getExperiment(trx, key);
  if (wanted.status === 'running') return wanted;
  if (wanted.status === 'stopped') throw refuse(`${key} was stopped, which is for good: create another one, with a key of its own`);
  if (wanted.ends_at !== null && Date.parse(wanted.ends_at) <= now.getTime()) throw refuse(`${key} would end at ${wanted.ends_at}, which is over: replace it first`);
  const knobs = knobsOf(wanted);
  for (const other of await listExperiments(trx, 'running')) {
    const shared = [...knobsOf(other)].find((knob) => knobs.has(knob));
    if (shared !== undefined && isBeside(wanted, other)) throw refuse(`the running experiment ${other.key} turns ${shared}, too: only one of them may at a time`);
  }
  return toExperiment(await trx.updateTable('recs.experiments').set({ status: 'running', started_at: now }).where('key', '=', key).returningAll().executeTakeFirstOrThrow());
}

/** Stopping a stopped one changes nothing. Throws conflict for a draft. */
export async function stopExperiment(trx: RecsTrx, key: string, now: Date): Promise<Experiment> {
  const wanted = await getExperiment(trx, key);
  if (wanted.status === 'stopped') return wanted;
  if (wanted.status === 'draft') throw refuse(`${key} was never started: delete it, or start it`);
  return toExperiment(await trx.updateTable('recs.experiments').set({ status: 'stopped', stopped_at: now }).where('key', '=', key).returningAll().executeTakeFirstOrThrow());
}
