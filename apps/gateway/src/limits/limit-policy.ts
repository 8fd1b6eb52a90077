import { DEFAULT_WORKSPACE } from '@millrace/contracts';
import type { Operation } from '@millrace/contracts';
import type { Keys } from '@millrace/redis-kit';
import { AppError } from '@millrace/service';
import type { Response } from 'express';
import { Counter } from 'prom-client';
import type { Registry } from 'prom-client';
import type { KeyOwner } from '../key.repository.ts';
import type { Call, Policy } from '../policy.ts';
import { policyHeader, retryAfterHeader, stateHeader } from './limit-headers.ts';
import type { Limit, OperationLimits } from './limit-table.ts';
import type { Ask, Limiter, Verdict } from './limiter.ts';

export interface EnforceDeps {
  readonly limiter: Limiter;
  readonly metrics: Registry;
}

/** Takes what a call costs, and says in `res` what is left. Throws rate_limited (429), or unavailable (503) where Redis cannot be asked and this instance's share is used up. */
export type Enforce = (asks: readonly Ask[], res: Pick<Response, 'setHeader'>) => Promise<void>;

/** Users' ids in keys are cut there: no service takes longer ones. */
const USER_ID_LENGTH = 200;

function refuse({ by, refusedBy }: Verdict): void {
  if (!refusedBy) return;
  const seconds = retryAfterHeader(refusedBy);
  const { name, quota, windowSeconds } = refusedBy.limit;
  const options = { headers: { 'Retry-After': seconds } };
  if (by === 'local') throw new AppError('unavailable', `calls cannot be counted over all instances just now, and this one has let in its share of the limit ${name}: try again in ${seconds} s`, options);
  throw new AppError('rate_limited', `the limit ${name}, ${quota} units in ${windowSeconds} s, is used up: try again in ${seconds} s`, options);
}

export function createEnforce({ limiter, metrics }: EnforceDeps): Enforce {
  const decisions = new Counter({ name: 'rate_limit_decisions_total', help: 'Calls by what decided about them: leased units, Redis, a refusal that was remembered, or the local share', labelNames: ['by', 'result'], registers: [metrics] });
  const refusals = new Counter({ name: 'rate_limit_refusals_total', help: 'Refused calls by the limit that refused', labelNames: ['limit'], registers: [metrics] });
  const policies = new WeakMap<readonly Ask[], string>();
  const policyOf = (asks: readonly Ask[]): string => {
    const text = policies.get(asks) ?? policyHeader(asks.map(({ limit }) => limit));
    policies.set(asks, text);
    return text;
  };
  return async (asks, res) => {
    if (asks.length === 0) return;
    const verdict = await limiter.take(asks);
    decisions.inc({ by: verdict.by, result: verdict.isAdmitted ? 'admitted' : 'refused' });
    if (verdict.refusedBy) refusals.inc({ limit: verdict.refusedBy.limit.name });
    res.setHeader('RateLimit-Policy', policyOf(asks));
    res.setHeader('RateLimit', stateHeader(verdict.states));
    refuse(verdict);
  };
}

/** Who signed in; of a key, whoever it says that it calls for. */
const userOf = ({ req, owner }: Call): string | undefined => (owner.kind === 'user' ? owner.id : req.get('x-user-id')?.slice(0, USER_ID_LENGTH)) || undefined;

/** Those of the default workspace by their plain id; others with their workspace, so that no tenant uses up, or sees, what another's user of the same id has left. */
export const inWorkspace = (workspaceId: string, id: string): string => (workspaceId === DEFAULT_WORKSPACE && !id.startsWith('@') ? id : `@${workspaceId}:${id}`);

/** The key of one limit for one call; undefined where the call is nobody's that the limit counts. */
function keyOf(limit: Limit, operation: Operation, call: Call, keys: Keys): string | undefined {
  const { id, workspaceId } = call.owner;
  const user = userOf(call);
  if (limit.name === 'chat') return keys.rateLimits.chat(inWorkspace(workspaceId, user ?? id));
  const who: Readonly<Record<Limit['by'], string | undefined>> = { key: id, route: `${id}:${operation.operationId}`, user, workspace: workspaceId, address: undefined };
  const whose = who[limit.by];
  return whose === undefined ? undefined : keys.rateLimits.refill(workspaceId, `${limit.name}:${whose}`);
}

export interface LimitPolicyDeps {
  readonly enforce: Enforce;
  readonly limitsOf: (operation: Operation) => OperationLimits;
  readonly keys: Keys;
}

/** Limits every call but those of development keys, which production refuses anyway. */
export const createLimitPolicy = ({ enforce, limitsOf, keys }: LimitPolicyDeps): Policy => (operation, answer) => {
  const { limits, cost } = limitsOf(operation);
  if (limits.length === 0) return answer;
  const asksOf = (call: Call): readonly Ask[] => limits.flatMap((limit) => {
    const key = keyOf(limit, operation, call, keys);
    return key === undefined ? [] : [{ limit, key, cost: limit.kind === 'window' ? 1 : cost }];
  });
  // A key that says of nobody that it calls for them asks for the same with each call.
  const known = new WeakMap<KeyOwner, readonly Ask[]>();
  const rememberedOf = (call: Call): readonly Ask[] => {
    if (call.owner.kind !== 'user' && call.req.headers['x-user-id'] !== undefined) return asksOf(call);
    const asks = known.get(call.owner) ?? asksOf(call);
    known.set(call.owner, asks);
    return asks;
  };
  return async (call) => {
    if (!call.owner.isDevelopment) await enforce(rememberedOf(call), call.res);
    return await answer(call);
  };
};
