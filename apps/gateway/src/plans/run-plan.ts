import { setTimeout as delay } from 'node:timers/promises';
import type { PlanQuestion } from '@millrace/contracts';
import type { Lease } from '@millrace/redis-kit';
import { AppError } from '@millrace/service';
import type { Logger } from '@millrace/service';
import type { GatewayDb } from '../database.ts';
import type { Delegate } from '../keys/delegation.ts';
import type { CallStep, Outcome } from './call-step.ts';
import type { PlanCalls, StepCall } from './plan-calls.ts';
import { LateRecordError, ask, endPlan, endStep, startStep } from './plan-record.repository.ts';
import type { HeldPlan, HeldStep, Holder } from './plan-record.repository.ts';

export interface RunPlanDeps {
  readonly db: GatewayDb;
  readonly calls: PlanCalls;
  readonly callStep: CallStep;
  readonly delegate: Delegate;
  readonly baseUrl: string;
  readonly logger: Logger;
  /** Told of each call that came to something. */
  readonly onStep: (result: Outcome['kind']) => void;
  /** Told after each record; must not reject. */
  readonly onRecord: () => Promise<void>;
  /** How long a step that is refused, or can be repeated, is tried. */
  readonly patienceMs?: number;
}

export interface HeldRun {
  readonly plan: HeldPlan;
  readonly holder: Holder;
  readonly lease: Pick<Lease, 'isHeld' | 'signal'>;
  /** The process ends: no further step begins. */
  readonly stopping: AbortSignal;
}

/** Tokens of calls count for a minute: a call that begins later than that is refused by the gateway. */
const TOKEN_MS = 60_000;
/** Clocks may differ. */
const MARGIN_MS = 5_000;
/** Services keep answers to Idempotency-Keys for 24 h. */
const KEPT_MS = 23 * 3_600_000;
/** Longer than the minute for which a gateway that died keeps the key of its call taken. */
const PATIENCE_MS = 120_000;
const FIRST_WAIT_MS = 200;
const MAX_WAIT_MS = 5_000;

/** Ends the run: its plan was asked about, has ended, or is another's. */
class StopRun extends Error {
  override readonly name = 'StopRun';
}

const retryAfter = (calledAtMs: number, { timeoutMs }: StepCall): string => new Date(calledAtMs + TOKEN_MS + timeoutMs + MARGIN_MS).toISOString();

/**
 * What happened is recorded as long as this holder may: Postgres may be away for a moment, and what is known must not become unclear. Ends with the lease.
 * @throws LateRecordError; what Postgres threw last
 */
async function persistently({ logger }: RunPlanDeps, run: HeldRun, work: () => Promise<void>): Promise<void> {
  for (let waitMs = FIRST_WAIT_MS; ; waitMs = Math.min(waitMs * 2, MAX_WAIT_MS)) {
    try {
      return await work();
    } catch (error) {
      if (error instanceof LateRecordError || !run.lease.isHeld() || run.stopping.aborted) throw error;
      logger.warn({ err: error, plan: run.holder.planId }, 'what a step came to could not be recorded: it will be tried again');
      await delay(waitMs);
    }
  }
}

/** The token of one call; the plan's caller may be less than they were. */
async function tokenFor({ delegate, db }: RunPlanDeps, { plan: { caller }, holder }: HeldRun, { number }: HeldStep, { scopes }: StepCall): Promise<string> {
  const stop = async (question: Omit<PlanQuestion, 'id' | 'step'>): Promise<never> => {
    await ask(db, holder, { step: number, ...question });
    throw new StopRun(question.kind);
  };
  if (caller.expiresAtMs !== undefined && caller.expiresAtMs <= Date.now()) return stop({ kind: 'caller_ended', detail: 'the token of whoever ran this plan has ended: run it again with a new one', retry_after: null });
  const missing = scopes.filter((scope) => !caller.scopes.includes(scope));
  if (missing.length > 0) return stop({ kind: 'caller_ended', detail: `whoever ran this plan lacks the scope ${missing.join(' and ')}: run it again with it`, retry_after: null });
  // No more than this call needs: what other scopes would show besides (unmasked persons) is not for a plan to keep.
  return delegate({ ...caller, scopes });
}

/** A wait that ends with the lease and with the process. */
async function pause(run: HeldRun, waitMs: number): Promise<void> {
  try {
    await delay(waitMs, undefined, { signal: AbortSignal.any([run.lease.signal, run.stopping]) });
  } catch (error) {
    if (!run.lease.signal.aborted && !run.stopping.aborted) throw error;
  }
}

const checkHeld = (run: HeldRun): void => {
  if (!run.lease.isHeld() || run.stopping.aborted) throw new StopRun('the lease is over, or the process ends');
};

/** Is a second call of this step harmless, where nobody knows what the first one did? */
const isRepeatable = ({ repeated }: StepCall, startedAtMs: number): boolean => repeated === 'nothing' || (repeated === 'once' && Date.now() - startedAtMs < KEPT_MS);

/** @throws StopRun where this gateway is of another version than the one that made the plan, and does not know the step */
async function callOf({ calls, db }: RunPlanDeps, { holder }: HeldRun, { number, call }: HeldStep): Promise<StepCall> {
  try {
    return calls.toCall(call);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    await ask(db, holder, { step: number, kind: 'unavailable', detail: `step ${number} is not known here any more (${error.message}): cancel the plan and make a new one`, retry_after: null });
    throw new StopRun('unknown step');
  }
}

interface Attempt { readonly outcome: Outcome; readonly calledAtMs: number }

/** One call, recorded before. @throws StopRun where the plan is to be cancelled, or this holder is not it any more; LateRecordError */
async function attempt(deps: RunPlanDeps, run: HeldRun, step: HeldStep, call: StepCall): Promise<Attempt> {
  const { db, baseUrl, onStep, onRecord } = deps;
  const { holder } = run;
  checkHeld(run);
  // Before the record: a call that comes late, from a process that stood still, comes with a token that has ended.
  const token = await tokenFor(deps, run, step, call);
  const calledAtMs = Date.now();
  if (!(await startStep(db, holder, step.number))) {
    await endPlan(db, holder, 'cancelled');
    throw new StopRun('cancelled');
  }
  await onRecord();
  // Noted, so it is called, although the process ends meanwhile: a step that was not would be asked about.
  if (!run.lease.isHeld()) throw new StopRun('the lease is over');
  const outcome = await deps.callStep({ call, baseUrl, token, idempotencyKey: `plan:${holder.planId}:${step.number}` });
  onStep(outcome.kind);
  return { outcome, calledAtMs };
}

/** Calls one step until it is over, or asks. @throws StopRun, LateRecordError */
async function runStep(deps: RunPlanDeps, run: HeldRun, step: HeldStep): Promise<'done' | 'failed'> {
  const { db, onRecord, patienceMs = PATIENCE_MS } = deps;
  const { holder } = run;
  const call = await callOf(deps, run, step);
  const firstMs = Date.now();
  const askFor = async (question: Pick<PlanQuestion, 'kind' | 'detail' | 'retry_after'>): Promise<never> => {
    await persistently(deps, run, () => ask(db, holder, { step: step.number, ...question }));
    throw new StopRun(question.kind);
  };
  // Where it only reads, nothing can be unclear.
  let isUnclear = step.state === 'running' && call.repeated !== 'nothing';
  for (let waitMs = FIRST_WAIT_MS; ; waitMs = Math.min(waitMs * 2, MAX_WAIT_MS)) {
    const { outcome, calledAtMs } = await attempt(deps, run, step, call);
    if (outcome.kind === 'done' || outcome.kind === 'failed') {
      const { kind: state, answer } = outcome;
      await persistently(deps, run, () => endStep(db, holder, step.number, { state, answer }));
      await onRecord();
      return state;
    }
    isUnclear ||= outcome.kind !== 'refused' && call.repeated !== 'nothing';
    if (outcome.kind === 'unclear' && !isRepeatable(call, step.startedAtMs ?? firstMs))
      await askFor({ kind: 'unclear', detail: `nobody knows whether step ${step.number} had its effect: ${outcome.why}. Look, then retry or skip it`, retry_after: retryAfter(calledAtMs, call) });
    if (Date.now() - firstMs > patienceMs) await askFor({ kind: isUnclear ? 'unclear' : 'unavailable', detail: `step ${step.number} could not be done for ${Math.round(patienceMs / 1_000)} s: ${outcome.why}`, retry_after: isUnclear ? retryAfter(calledAtMs, call) : null });
    await pause(run, Math.max(outcome.waitMs ?? 0, waitMs));
  }
}

/** A step that was being called when its gateway died, or lost the plan. */
async function resume(deps: RunPlanDeps, run: HeldRun, step: HeldStep): Promise<void> {
  const { plan, holder } = run;
  if (plan.isCancelling) return;
  const call = await callOf(deps, run, step);
  if (isRepeatable(call, step.startedAtMs ?? 0)) return;
  await ask(deps.db, holder, { step: step.number, kind: 'unclear', detail: `step ${step.number} was being called when its gateway stopped: nobody knows whether it had its effect. Look, then retry or skip it`, retry_after: retryAfter(step.calledAtMs ?? Date.now(), call) });
  throw new StopRun('asked');
}

async function runSteps(deps: RunPlanDeps, run: HeldRun): Promise<void> {
  const { plan, holder } = run;
  // Its gateway died before it could say so.
  if (plan.steps.some(({ state }) => state === 'failed')) return endPlan(deps.db, holder, 'failed');
  for (const step of plan.steps) {
    if (step.state !== 'pending' && step.state !== 'running') continue;
    checkHeld(run);
    if (step.state === 'running') await resume(deps, run, step);
    if (plan.isCancelling) return endPlan(deps.db, holder, 'cancelled');
    if ((await runStep(deps, run, step)) === 'failed') return endPlan(deps.db, holder, 'failed');
  }
  return persistently(deps, run, () => endPlan(deps.db, holder, 'done'));
}

/**
 * Runs what is left of a plan that this process holds, one step after the other, each recorded before and after its call. Ends early, without a word to its
 * caller, where the lease is lost or the process ends: whoever takes the plan goes on. @throws what Postgres threw; the plan goes on later then, too
 */
export async function runPlan(deps: RunPlanDeps, run: HeldRun): Promise<void> {
  try {
    await runSteps(deps, run);
    await deps.onRecord();
  } catch (error) {
    if (error instanceof StopRun) await deps.onRecord();
    else if (error instanceof LateRecordError) deps.logger.warn({ plan: run.holder.planId, fence: run.holder.fence }, 'a late record of a plan was refused: another gateway has it, or it is gone');
    else if (error instanceof AppError && error.code === 'forbidden') throw new Error('a plan has a caller that nobody may act for', { cause: error });
    else throw error;
  }
}
