import { randomUUID } from 'node:crypto';
import { planStepSchema } from '@millrace/contracts';
import type { PlanQuestion, PlanState, PlanStep, PlanStepState } from '@millrace/contracts';
import { sql } from 'kysely';
import type { GatewayDb, GatewayTrx } from '../database.ts';
import type { KeyOwner } from '../key.repository.ts';

/** Who records: the holder of a plan's lease. Every function here refuses one whose fence another one has passed, and then changes nothing. */
export interface Holder {
  readonly planId: string;
  readonly fence: number;
}

/** A step as its runner needs it. */
export interface HeldStep {
  readonly number: number;
  readonly call: PlanStep;
  readonly state: PlanStepState;
  /** Of the first call, and of the last one. */
  readonly startedAtMs: number | undefined;
  readonly calledAtMs: number | undefined;
}
export interface HeldPlan {
  readonly isCancelling: boolean;
  /** As stored: what a key may do now is looked up where it is used. */
  readonly caller: KeyOwner;
  readonly session: { readonly id: string; readonly user: string } | undefined;
  readonly steps: readonly HeldStep[];
}

/** A plan as its session hears of it. */
export interface ToldPlan extends Pick<HeldPlan, 'session'> {
  readonly planId: string;
  readonly caller: Pick<KeyOwner, 'id' | 'workspaceId'>;
}

/** What was answered; `text` is cut to what may be kept. */
export interface StepAnswer {
  readonly status: number;
  readonly text: string;
  readonly isTruncated: boolean;
}

/** Thrown where another one has the plan, or where it is gone. */
export class LateRecordError extends Error {
  override readonly name = 'LateRecordError';
}

const msOf = (column: string) => sql<number | null>`extract(epoch from ${sql.ref(column)})::float8 * 1000`;

const late = ({ planId, fence }: Holder): LateRecordError => new LateRecordError(`the plan ${planId} is another holder's than that of ${fence}`);

export const ENDED: ReadonlySet<string> = new Set<PlanState>(['done', 'failed', 'cancelled']);

/** Its row is locked first, by everybody: whoever records, takes over, asks or cancels comes one after the other. */
export async function addEvent(trx: GatewayTrx, planId: string, event: 'plan' | 'step', data: object): Promise<void> {
  await sql`
    with numbered as (update gateway.plans set last_event = last_event + 1, updated_at = now() where id = ${planId} returning last_event)
    insert into gateway.plan_events (plan_id, number, event, data) select ${planId}, last_event, ${event}, ${JSON.stringify(data)} from numbered`.execute(trx);
}

export async function setState(trx: GatewayTrx, planId: string, state: PlanState, question?: PlanQuestion): Promise<void> {
  await trx
    .updateTable('gateway.plans')
    .set({ state, question: question ? JSON.stringify(question) : null, ...(ENDED.has(state) && { ended_at: sql<string>`now()` }), ...(state !== 'running' && state !== 'cancelling' && { holder: null }) })
    .where('id', '=', planId)
    .execute();
  await addEvent(trx, planId, 'plan', { state, question: question ?? null });
}

/** @throws LateRecordError */
async function lockHeld(trx: GatewayTrx, holder: Holder): Promise<PlanState> {
  const row = await trx.selectFrom('gateway.plans').select('state').where('id', '=', holder.planId).where('fence', '=', String(holder.fence)).forUpdate().executeTakeFirst();
  if (!row) throw late(holder);
  return row.state;
}

/** Changes one step of the holder's. @throws LateRecordError */
async function record(trx: GatewayTrx, holder: Holder, number: number, values: Readonly<Record<string, unknown>> & { readonly state: PlanStepState }): Promise<void> {
  const row = await trx
    .updateTable('gateway.plan_steps')
    .set({ ...values, fence: String(holder.fence) })
    .where('plan_id', '=', holder.planId).where('number', '=', number).where('fence', '=', String(holder.fence)).where('state', 'in', ['pending', 'running'])
    .returning(['status', 'attempts'])
    .executeTakeFirst();
  if (!row) throw late(holder);
  await addEvent(trx, holder.planId, 'step', { step: number, state: values.state, status: row.status, attempts: row.attempts });
}

/**
 * Takes a plan over that is to be run: from the commit on nobody with a smaller fence records anything. Undefined where there is nothing to run, or where
 * somebody with a larger one has been there: Postgres decides, whatever Redis forgot.
 */
export async function claimPlan(db: GatewayDb, { planId, fence }: Holder, name: string): Promise<HeldPlan | undefined> {
  return db.transaction().execute(async (trx) => {
    const plan = await trx
      .updateTable('gateway.plans')
      .set({ fence: String(fence), holder: name, updated_at: sql<string>`now()` })
      .where('id', '=', planId).where('fence', '<', String(fence)).where('state', 'in', ['running', 'cancelling'])
      .returning(['state', 'caller', 'caller_kind', 'workspace_id', 'scopes', 'session_id', 'session_of', msOf('caller_until').as('untilMs')])
      .executeTakeFirst();
    if (!plan) return undefined;
    await trx.updateTable('gateway.plan_steps').set({ fence: String(fence) }).where('plan_id', '=', planId).where('state', 'in', ['pending', 'running']).execute();
    const steps = await trx.selectFrom('gateway.plan_steps').select(['number', 'call', 'state', msOf('started_at').as('startedAtMs'), msOf('called_at').as('calledAtMs')]).where('plan_id', '=', planId).orderBy('number').execute();
    return {
      isCancelling: plan.state === 'cancelling',
      caller: { id: plan.caller, kind: plan.caller_kind, workspaceId: plan.workspace_id, scopes: plan.scopes, isDevelopment: false, ...(plan.untilMs !== null && { expiresAtMs: plan.untilMs }) },
      session: plan.session_id !== null && plan.session_of !== null ? { id: plan.session_id, user: plan.session_of } : undefined,
      steps: steps.map(({ number, call, state, startedAtMs, calledAtMs }) => ({ number, state, call: planStepSchema.parse(JSON.parse(call)), startedAtMs: startedAtMs ?? undefined, calledAtMs: calledAtMs ?? undefined })),
    };
  });
}

/** Before each call. False: the plan is to be cancelled, nothing was recorded. @throws LateRecordError */
export async function startStep(db: GatewayDb, holder: Holder, number: number): Promise<boolean> {
  return db.transaction().execute(async (trx) => {
    if ((await lockHeld(trx, holder)) !== 'running') return false;
    await record(trx, holder, number, { state: 'running', attempts: sql`attempts + 1`, started_at: sql`coalesce(started_at, now())`, called_at: sql`now()` });
    return true;
  });
}

/** After a call, with whatever came of it. @throws LateRecordError */
export async function endStep(db: GatewayDb, holder: Holder, number: number, { state, answer }: { readonly state: 'done' | 'failed'; readonly answer: StepAnswer }): Promise<void> {
  await db.transaction().execute(async (trx) => {
    await lockHeld(trx, holder);
    await record(trx, holder, number, { state, status: answer.status, answer: answer.text.replaceAll('\0', ''), is_truncated: answer.isTruncated, ended_at: sql`now()` });
  });
}

/** The plan is over for this holder. A step of which nobody knows ends as `unknown`. @throws LateRecordError */
export async function endPlan(db: GatewayDb, holder: Holder, state: 'done' | 'failed' | 'cancelled'): Promise<void> {
  await db.transaction().execute(async (trx) => {
    await lockHeld(trx, holder);
    await leaveUnknown(trx, holder.planId);
    await setState(trx, holder.planId, state);
  });
}

/** The plan waits for its caller; one that is to be cancelled is. @throws LateRecordError */
export async function ask(db: GatewayDb, holder: Holder, question: Omit<PlanQuestion, 'id'>): Promise<void> {
  await db.transaction().execute(async (trx) => {
    const state = await lockHeld(trx, holder);
    if (state === 'cancelling') {
      await leaveUnknown(trx, holder.planId);
      await setState(trx, holder.planId, 'cancelled');
      return;
    }
    const { last_event: last } = await trx.selectFrom('gateway.plans').select('last_event').where('id', '=', holder.planId).executeTakeFirstOrThrow();
    await setState(trx, holder.planId, 'waiting', { id: last + 1, ...question });
  });
}

/** Steps that were being called when the plan ended: nobody will find out. */
export async function leaveUnknown(trx: GatewayTrx, planId: string): Promise<void> {
  const rows = await trx.updateTable('gateway.plan_steps').set({ state: 'unknown', ended_at: sql<string>`now()` }).where('plan_id', '=', planId).where('state', '=', 'running').returning(['number', 'attempts']).execute();
  for (const { number, attempts } of rows) await addEvent(trx, planId, 'step', { step: number, state: 'unknown', status: null, attempts });
}

/** Plans that somebody should run, the longest untouched first. */
export async function findRunnable(db: GatewayDb, limit: number): Promise<readonly string[]> {
  const rows = await db.selectFrom('gateway.plans').select('id').where('state', 'in', ['running', 'cancelling']).orderBy('updated_at').limit(limit).execute();
  return rows.map(({ id }) => id);
}

/** Plans that do not run and whose session has not heard the last word on them, any of them first: none that always fails stands before the others. One that nobody has run was never shown there. */
export async function findUntold(db: GatewayDb, limit: number): Promise<readonly ToldPlan[]> {
  const rows = await db.selectFrom('gateway.plans').select(['id', 'caller', 'workspace_id', 'session_id', 'session_of']).where('session_id', 'is not', null).whereRef('told_event', '<', 'last_event').where(sql<boolean>`fence > 0`).where('state', 'not in', ['running', 'cancelling']).orderBy(sql`random()`).limit(limit).execute();
  return rows.map(({ id, caller, workspace_id: workspaceId, session_id: session, session_of: user }) => ({ planId: id, caller: { id: caller, workspaceId }, session: session !== null && user !== null ? { id: session, user } : undefined }));
}

/** Its session knows of this event, or (without one) cannot be told any more. */
export async function noteTold(db: GatewayDb, planId: string, event?: number): Promise<void> {
  await db.updateTable('gateway.plans').set({ told_event: event === undefined ? sql.ref<number>('last_event') : sql<number>`greatest(told_event, ${event}::integer)` }).where('id', '=', planId).execute();
}

/** Of a plan that is to be run. */
export async function findFence(db: GatewayDb, planId: string): Promise<string | undefined> {
  const row = await db.selectFrom('gateway.plans').select('fence').where('id', '=', planId).where('state', 'in', ['running', 'cancelling']).executeTakeFirst();
  return row?.fence;
}

/** Of this process, for whoever looks into the table. */
export const instanceName = (host: string): string => `${host}:${process.pid}:${randomUUID().slice(0, 8)}`;
