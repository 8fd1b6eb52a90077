import { cancelPlan, createPlan, getPlan, planEvents, runPlan } from '@millrace/contracts';
import type { Plan } from '@millrace/contracts';
import { ok } from '@millrace/http';
import { AppError } from '@millrace/service';
import { callerOf } from '../caller-of.ts';
import type { GatewayDb } from '../database.ts';
import type { KeyOwner } from '../key.repository.ts';
import { localRoute } from '../local-route.ts';
import type { LocalRoutes } from '../local-route.ts';
import type { SessionStore } from '../sessions/session-store.ts';
import type { PlanCalls } from './plan-calls.ts';
import { isOver } from './plan-feed.ts';
import type { PlanFeed } from './plan-feed.ts';
import * as plans from './plan.repository.ts';

export interface PlanRoutesDeps {
  readonly db: GatewayDb;
  readonly calls: PlanCalls;
  readonly sessions: Pick<SessionStore, 'get'>;
  readonly feed: PlanFeed;
  /** A plan is to be run, or to be cancelled. */
  readonly onWanted: (planId: string) => void;
}

/** @throws forbidden, not_found: whoever may not read a session must not write into it by a plan */
async function sessionFor({ sessions }: PlanRoutesDeps, owner: KeyOwner, id: string | undefined, user: string | undefined): Promise<plans.NewPlan['session']> {
  if (id === undefined) return undefined;
  if (user === undefined) throw new AppError('invalid_request', 'a session belongs to a user: send X-User-Id', { details: [{ in: 'headers', pointer: '/x-user-id', detail: 'is required with session_id' }] });
  if (!owner.scopes.includes('sessions')) throw new AppError('forbidden', 'session_id needs the scope sessions', { details: [{ in: 'body', pointer: '/session_id', detail: 'needs the scope sessions' }] });
  await sessions.get({ workspaceId: owner.workspaceId, callerId: owner.id, user }, id);
  return { id, user };
}

/** `/api/plans`: those of one caller, for nobody else. */
export function planRoutes(deps: PlanRoutesDeps): LocalRoutes {
  const { db, calls, feed, onWanted } = deps;
  const accepted = async (owner: KeyOwner, id: string): Promise<{ status: number; body: Plan }> => {
    onWanted(id);
    return { status: 202, body: await plans.getPlan(db, owner, id) };
  };
  return {
    ...localRoute(createPlan, async ({ req, body, headers }) => {
      const owner = callerOf(req);
      calls.check(body.steps, owner.scopes);
      const session = await sessionFor(deps, owner, body.session_id, headers['x-user-id']);
      const id = await plans.insertPlan(db, owner, { title: body.title, steps: body.steps, session });
      return { status: 201, body: await plans.getPlan(db, owner, id), headers: { Location: `/api/plans/${id}` } };
    }),
    ...localRoute(runPlan, async ({ req, params: { id }, body }) => {
      const owner = callerOf(req);
      const open = await plans.findOpenSteps(db, owner, id);
      calls.check(open.map(({ call }) => call), owner.scopes);
      await plans.requestRun(db, owner, id, body.on_interrupted !== undefined && body.question !== undefined ? { todo: body.on_interrupted, question: body.question } : undefined);
      return accepted(owner, id);
    }),
    ...localRoute(getPlan, async ({ req, params: { id } }) => ok(await plans.getPlan(db, callerOf(req), id))),
    ...localRoute(cancelPlan, async ({ req, params: { id } }) => {
      const owner = callerOf(req);
      await plans.requestCancel(db, owner, id);
      return accepted(owner, id);
    }),
    ...localRoute(planEvents, async ({ req, res, params: { id }, headers }) => {
      const owner = callerOf(req);
      await plans.findOpenSteps(db, owner, id);
      const after = Number(headers['last-event-id'] ?? 0);
      if (after > 0 && (await isOver(db, id, after))) return { status: 204 };
      if (req.method === 'GET') feed.join({ planId: id, owner: `${owner.workspaceId} ${owner.id}` }, after, res);
      else res.status(200).type('text/event-stream').end();
      return undefined;
    }),
  };
}
