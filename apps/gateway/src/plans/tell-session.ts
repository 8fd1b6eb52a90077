import { AppError } from '@millrace/service';
import type { Logger } from '@millrace/service';
import { z } from 'zod';
import type { GatewayDb } from '../database.ts';
import type { SessionOwner, SessionStore } from '../sessions/session-store.ts';
import { ENDED, findUntold, noteTold } from './plan-record.repository.ts';
import type { ToldPlan } from './plan-record.repository.ts';

export interface TellSessionDeps {
  readonly db: GatewayDb;
  readonly store: Pick<SessionStore, 'get' | 'replace'>;
  readonly logger: Logger;
}

export interface TellSession {
  /** Puts the state of a plan into the `plan` of its session, beside what its caller keeps there. Never rejects: a session that has ended, is full or cannot be reached holds up no plan. */
  tell(plan: ToldPlan): Promise<void>;
  /** Says the last word on plans that do not run where their session has not heard it: Redis was away, a gateway died, or somebody else ended the plan. @throws what the first one threw, after trying all */
  tellOwed(): Promise<void>;
}

const ATTEMPTS = 5;
const AT_ONCE = 20;
/** Everything else that a session answers stays so. */
const PASSING = new Set<string>(['unavailable', 'precondition_failed']);

/** As it is now; the session may be a moment behind, never ahead. */
async function stateOf(db: GatewayDb, planId: string) {
  const rows = await db.selectFrom('gateway.plans').innerJoin('gateway.plan_steps', 'plan_id', 'id').select(['gateway.plans.state as state', 'gateway.plan_steps.state as step', 'last_event']).where('id', '=', planId).execute();
  const [first] = rows;
  return first && { id: planId, state: first.state, steps: rows.length, over: rows.filter(({ step }) => step === 'done' || step === 'skipped').length, event: first.last_event };
}
type State = NonNullable<Awaited<ReturnType<typeof stateOf>>>;

const shownSchema = z.object({ id: z.string(), state: z.string(), event: z.number() });

/** Several gateways may say the same word; and the end of one plan does not hide another one that goes on. */
function isShown(shown: unknown, { id, state, event }: State): boolean {
  const { success, data } = shownSchema.safeParse(shown);
  if (!success) return false;
  return data.id === id ? data.event >= event : ENDED.has(state) && !ENDED.has(data.state);
}

/** Between reading and writing somebody else may write: read again, then. Undefined where the plan is gone. */
async function write({ db, store }: TellSessionDeps, owner: SessionOwner, sessionId: string, planId: string): Promise<State | undefined> {
  for (let attempt = 1; ; attempt += 1) {
    const session = await store.get(owner, sessionId);
    const state = await stateOf(db, planId);
    if (!state || isShown(session.plan['running_plan'], state)) return state;
    try {
      await store.replace(owner, sessionId, [session.version], { title: session.title, plan: { ...session.plan, running_plan: state } });
      return state;
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'precondition_failed' || attempt === ATTEMPTS) throw error;
    }
  }
}

async function tellOne(deps: TellSessionDeps, { planId, session, caller }: ToldPlan): Promise<void> {
  if (!session) return;
  const { db, logger } = deps;
  try {
    const told = await write(deps, { workspaceId: caller.workspaceId, callerId: caller.id, user: session.user }, session.id, planId);
    // Of one that runs there is more to say soon.
    if (told && told.state !== 'running' && told.state !== 'cancelling') await noteTold(db, planId, told.event);
  } catch (error) {
    if (!(error instanceof AppError) || PASSING.has(error.code)) throw error;
    if (error.code !== 'not_found') logger.info({ err: error, plan: planId }, 'the session of a plan takes no word of it');
    await noteTold(db, planId);
  }
}

export function createTellSession(deps: TellSessionDeps): TellSession {
  return {
    async tell(plan) {
      await tellOne(deps, plan).catch((error: unknown) => deps.logger.info({ err: error, plan: plan.planId }, 'the session of a plan could not be told of it: it will be tried again'));
    },
    async tellOwed() {
      const failures: unknown[] = [];
      for (const plan of await findUntold(deps.db, AT_ONCE)) await tellOne(deps, plan).catch((error: unknown) => failures.push(error));
      if (failures.length > 0) throw failures[0];
    },
  };
}
