import { randomUUID } from 'node:crypto';
import { PLAN_LIMITS, planQuestionSchema, planStepSchema } from '@millrace/contracts';
import type { Plan, PlanState, PlanStep } from '@millrace/contracts';
import { AppError, notFound } from '@millrace/service';
import { sql } from 'kysely';
import { z } from 'zod';
import type { GatewayDb, GatewayTrx } from '../database.ts';
import type { KeyOwner } from '../key.repository.ts';
import { addEvent, leaveUnknown, setState } from './plan-record.repository.ts';

export interface NewPlan {
  readonly title: string;
  readonly session: { readonly id: string; readonly user: string } | undefined;
  readonly steps: readonly PlanStep[];
}

/** Whose a plan is: nobody else sees it, not even that it exists. An id of a person is unique within their workspace only. */
type Owner = Pick<KeyOwner, 'id' | 'workspaceId'>;

const iso = (column: string) => sql<string>`to_char(${sql.ref(column)} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;
const untilOf = ({ expiresAtMs }: KeyOwner): string | null => (expiresAtMs === undefined ? null : new Date(expiresAtMs).toISOString());
/** Of a key its state is looked up whenever it is used; a person's token says itself how long it counts. */
const callerOf = (owner: KeyOwner) => ({ scopes: [...owner.scopes], caller_until: owner.kind === 'user' ? untilOf(owner) : null });

/** Counts of one caller are compared by one at a time. */
const lockCaller = async (trx: GatewayTrx, { workspaceId, id }: Owner): Promise<unknown> => sql`select pg_advisory_xact_lock(hashtextextended(${`plans ${workspaceId} ${id}`}, 0))`.execute(trx);

async function countPlans(trx: GatewayTrx, owner: Owner, states?: readonly PlanState[]): Promise<number> {
  const { count } = await trx.selectFrom('gateway.plans').select(sql<number>`count(*)::int`.as('count')).where('workspace_id', '=', owner.workspaceId).where('caller', '=', owner.id).$if(states !== undefined, (query) => query.where('state', 'in', states ?? [])).executeTakeFirstOrThrow();
  return count;
}

/** @throws conflict where the caller has too many */
export async function insertPlan(db: GatewayDb, owner: KeyOwner, { title, session, steps }: NewPlan): Promise<string> {
  const id = randomUUID();
  await db.transaction().execute(async (trx) => {
    await lockCaller(trx, owner);
    if ((await countPlans(trx, owner)) >= PLAN_LIMITS.kept) throw new AppError('conflict', `${PLAN_LIMITS.kept} plans of this caller are kept already: they are forgotten some days after their last change`);
    await trx.insertInto('gateway.plans').values({ id, caller: owner.id, workspace_id: owner.workspaceId, caller_kind: owner.kind === 'user' ? 'user' : 'secret', ...callerOf(owner), title, session_id: session?.id ?? null, session_of: session?.user ?? null, state: 'ready', holder: null, question: null, ended_at: null }).execute();
    await trx.insertInto('gateway.plan_steps').values(steps.map((step, place) => ({ plan_id: id, number: place + 1, call: JSON.stringify(step), state: 'pending' as const, started_at: null, called_at: null, ended_at: null, status: null, answer: null }))).execute();
    await addEvent(trx, id, 'plan', { state: 'ready', question: null });
  });
  return id;
}

const answerSchema = z.string().transform((text) => {
  try {
    return z.json().parse(JSON.parse(text));
  } catch {
    // No JSON, or cut: as it is.
    return text;
  }
});

async function findSteps(db: GatewayDb, planId: string): Promise<Plan['steps']> {
  const rows = await db.selectFrom('gateway.plan_steps').select(['number', 'call', 'state', 'attempts', 'status', 'answer', 'is_truncated', iso('started_at').as('started_at'), iso('ended_at').as('ended_at')]).where('plan_id', '=', planId).orderBy('number').execute();
  return rows.map(({ number, call, answer, is_truncated: truncated, state, attempts, status, started_at: startedAt, ended_at: endedAt }) => {
    const { operation = null, tool = null } = planStepSchema.parse(JSON.parse(call));
    return { step: number, operation, tool, state, attempts, started_at: startedAt, ended_at: endedAt, status, answer: answer === null || answer === '' ? null : truncated ? answer : answerSchema.parse(answer), truncated };
  });
}

/** @throws not_found */
export async function getPlan(db: GatewayDb, owner: Owner, id: string): Promise<Plan> {
  const row = await db.selectFrom('gateway.plans').select(['id', 'state', 'title', 'session_id', 'question', iso('created_at').as('created_at'), iso('updated_at').as('updated_at'), iso('ended_at').as('ended_at')]).where('id', '=', id).where('workspace_id', '=', owner.workspaceId).where('caller', '=', owner.id).executeTakeFirst();
  if (!row) throw notFound(`plan ${id}`);
  return { ...row, question: row.question === null ? null : planQuestionSchema.parse(JSON.parse(row.question)), steps: await findSteps(db, id) };
}

/** Those that are not over yet, in their order. @throws not_found */
export async function findOpenSteps(db: GatewayDb, owner: Owner, id: string): Promise<readonly { readonly number: number; readonly call: PlanStep }[]> {
  const rows = await db
    .selectFrom('gateway.plans').innerJoin('gateway.plan_steps', 'plan_id', 'id')
    .select(['number', 'call', 'gateway.plan_steps.state as step_state'])
    .where('id', '=', id).where('workspace_id', '=', owner.workspaceId).where('caller', '=', owner.id).orderBy('number').execute();
  if (rows.length === 0) throw notFound(`plan ${id}`);
  return rows.filter(({ step_state: state }) => state === 'pending' || state === 'running').map(({ number, call }) => ({ number, call: planStepSchema.parse(JSON.parse(call)) }));
}

export interface PlanAnswer { readonly todo: 'retry' | 'skip'; readonly question: number }

const lockPlan = async (trx: GatewayTrx, owner: Owner, id: string) => {
  const row = await trx.selectFrom('gateway.plans').select(['state', 'question']).where('id', '=', id).where('workspace_id', '=', owner.workspaceId).where('caller', '=', owner.id).forUpdate().executeTakeFirst();
  if (!row) throw notFound(`plan ${id}`);
  return { state: row.state, question: row.question === null ? undefined : planQuestionSchema.parse(JSON.parse(row.question)) };
};

/** @throws conflict where it is another question, or too early */
async function takeAnswer(trx: GatewayTrx, id: string, question: z.output<typeof planQuestionSchema>, answer: PlanAnswer | undefined): Promise<void> {
  if (question.kind === 'caller_ended' && answer === undefined) return;
  if (answer === undefined) throw new AppError('conflict', `the plan asks what to do with its step ${question.step}: run it again with {"on_interrupted": "retry" or "skip", "question": ${question.id}}`);
  if (answer.question !== question.id) throw new AppError('conflict', `the plan asks question ${question.id} now: read it again`);
  const waitMs = question.retry_after === null || answer.todo === 'skip' ? 0 : Date.parse(question.retry_after) - Date.now();
  if (waitMs > 0) throw new AppError('conflict', `the call that broke off might still arrive: retry after ${question.retry_after}`, { headers: { 'Retry-After': String(Math.ceil(waitMs / 1_000)) } });
  const state = answer.todo === 'retry' ? 'pending' : 'skipped';
  const rows = await trx.updateTable('gateway.plan_steps').set({ state, ...(state === 'pending' ? { started_at: null } : { ended_at: sql<string>`now()` }) }).where('plan_id', '=', id).where('number', '=', question.step).where('state', 'in', ['pending', 'running']).returning('attempts').execute();
  for (const { attempts } of rows) await addEvent(trx, id, 'step', { step: question.step, state, status: null, attempts });
}

/** Once, however often it is asked for: nothing where the plan runs or has ended. @throws not_found; conflict where it asks something else, or too many run */
export async function requestRun(db: GatewayDb, owner: KeyOwner, id: string, answer: PlanAnswer | undefined): Promise<void> {
  await db.transaction().execute(async (trx) => {
    await lockCaller(trx, owner);
    const { state, question } = await lockPlan(trx, owner, id);
    if (state !== 'ready' && state !== 'waiting') return;
    if ((await countPlans(trx, owner, ['running', 'cancelling'])) >= PLAN_LIMITS.running) throw new AppError('conflict', `${PLAN_LIMITS.running} plans of this caller run already: wait until one ends, or cancel one`, { headers: { 'Retry-After': '5' } });
    if (question) await takeAnswer(trx, id, question, answer);
    else if (answer) throw new AppError('conflict', 'the plan asks nothing: run it without an answer');
    await trx.updateTable('gateway.plans').set(callerOf(owner)).where('id', '=', id).execute();
    await setState(trx, id, 'running');
  });
}

/** @throws not_found; conflict where it has ended otherwise */
export async function requestCancel(db: GatewayDb, owner: Owner, id: string): Promise<void> {
  await db.transaction().execute(async (trx) => {
    const { state } = await lockPlan(trx, owner, id);
    if (state === 'cancelling' || state === 'cancelled') return;
    if (state === 'done' || state === 'failed') throw new AppError('conflict', `the plan has ended: ${state}`);
    if (state === 'running') return setState(trx, id, 'cancelling');
    await leaveUnknown(trx, id);
    await setState(trx, id, 'cancelled');
    return undefined;
  });
}

const PURGED_AT_ONCE = 1_000;

/** Removes what has not changed for so long, also plans that were never run or wait for an answer; not those that run. How many. */
export async function purgePlans(db: GatewayDb, hours: number): Promise<number> {
  let purged = 0;
  for (let last = PURGED_AT_ONCE; last === PURGED_AT_ONCE; purged += last) {
    const found = await sql`delete from gateway.plans where id in (select id from gateway.plans where updated_at < now() - make_interval(hours => ${hours}) and state not in ('running', 'cancelling') limit ${PURGED_AT_ONCE})`.execute(db);
    last = Number(found.numAffectedRows ?? 0n);
  }
  return purged;
}

/** For an advanced regular expression of Postgres: the text itself. */
const literal = (text: string): string => text.replaceAll(/[^\p{L}\p{N}_]/gu, String.raw`\$&`);

/** Where a user may stand in an answer; elsewhere the same word is something else. */
const NAMES_OF_USERS = '(user|customer|visitor|shopper|subject|from)';

/**
 * Removes every plan that is for a session of this user, has them as a value of a call, or where an answer names them as a user: under whichever key, also one
 * that runs: its next record is refused. Names of fields, operations and tools are not users. How many. Safe to repeat.
 */
export async function erasePlansOf(db: GatewayDb, user: string): Promise<number> {
  const quoted = literal(JSON.stringify(user));
  // Ids of users may be numbers in events.
  const number = /^\d+$/.test(user) ? String.raw`|${user}(?![\d.])` : '';
  const inCall = String.raw`[:\[,]\s*${quoted}\s*[,}\]]${number === '' ? '' : String.raw`|"user_id"\s*:\s*${user}(?![\d.])`}`;
  const inAnswer = String.raw`"[^"]*${NAMES_OF_USERS}[^"]*"\s*:\s*(${quoted}${number})`;
  const found = await sql`
    delete from gateway.plans p where session_of = ${user} or exists (
      select from gateway.plan_steps s where s.plan_id = p.id and (regexp_replace(s.call, '"(operation|tool)"\s*:\s*"[^"]*"', '', 'g') ~ ${inCall} or coalesce(s.answer, '') ~* ${inAnswer}))`.execute(db);
  return Number(found.numAffectedRows ?? 0n);
}
