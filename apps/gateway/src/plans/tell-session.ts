import { AppError } from '@millrace/service';
import type { Logger } from '@millrace/service';
import type { GatewayDb } from '../database.ts';
import type { SessionOwner, SessionStore } from '../sessions/session-store.ts';
import { LateRecordError } from './plan-record.repository.ts';
import type { HeldPlan, Holder } from './plan-record.repository.ts';

export interface TellSessionDeps {
  readonly db: GatewayDb;
  readonly store: Pick<SessionStore, 'get' | 'replace'>;
  readonly logger: Logger;
}

const ATTEMPTS = 5;

/** As it is now; the session may be a moment behind, never ahead. */
async function stateOf(db: GatewayDb, { planId }: Holder) {
  const rows = await db.selectFrom('gateway.plans').innerJoin('gateway.plan_steps', 'plan_id', 'id').select(['gateway.plans.state as state', 'gateway.plan_steps.state as step', 'last_event']).where('id', '=', planId).execute();
  const [first] = rows;
  return first && { id: planId, state: first.state, steps: rows.length, over: rows.filter(({ step }) => step === 'done' || step === 'skipped').length, event: first.last_event };
}

/** Between reading and writing somebody else may write: read again, then. */
async function write({ db, store }: TellSessionDeps, owner: SessionOwner, sessionId: string, holder: Holder): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    const session = await store.get(owner, sessionId);
    const state = await stateOf(db, holder);
    if (!state) return;
    try {
      await store.replace(owner, sessionId, [session.version], { title: session.title, plan: { ...session.plan, running_plan: state } });
      return;
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'precondition_failed' || attempt === ATTEMPTS) throw error;
    }
  }
}

/** Puts the state of a plan into the `plan` of its session, beside what its caller keeps there. A session that has ended, is full or cannot be reached holds up no plan. */
export const createTellSession =
  (deps: TellSessionDeps) =>
  async ({ session, caller }: Pick<HeldPlan, 'session' | 'caller'>, holder: Holder): Promise<void> => {
    if (!session) return;
    try {
      await write(deps, { workspaceId: caller.workspaceId, callerId: caller.id, user: session.user }, session.id, holder);
    } catch (error) {
      if (error instanceof LateRecordError || (error instanceof AppError && error.code === 'not_found')) return;
      deps.logger.info({ err: error, plan: holder.planId }, 'the session of a plan could not be told of it');
    }
  };
