import { scopes } from '@millrace/contracts';
import type { Operation } from '@millrace/contracts';
import { JSON_LIMIT_BYTES, requestIdOf, setIdentity, toExpressPath, traceparentOf } from '@millrace/http';
import type { FrontHandler } from '@millrace/http';
import { AppError } from '@millrace/service';
import type { IdentitySigner, Logger } from '@millrace/service';
import { Router } from 'express';
import type { Request, RequestHandler } from 'express';
import type { AuditEntry } from './audit.repository.ts';
import { setCaller } from './caller-of.ts';
import { createAuditedRefusals } from './audited-refusals.ts';
import type { AuthenticateKey } from './authenticate-key.ts';
import type { KeyOwner } from './key.repository.ts';
import type { AuthenticateToken } from './keys/authenticate-token.ts';
import { GATEWAY_TOKEN_HEADER } from './keys/delegation.ts';
import type { Delegate } from './keys/delegation.ts';
import { takeReply } from './local-route.ts';
import type { LocalRoutes } from './local-route.ts';
import type { GuardCallers } from './limits/stranger-limit.ts';
import { MCP, auditPath, mcpCallOf, protocolHeaders } from './mcp/mcp-policy.ts';
import { methodsOfPaths } from './path-methods.ts';
import { sendAnswer, withPolicies } from './policy.ts';
import type { Answerer, Policy } from './policy.ts';
import type { Upstream } from './proxy.ts';
import { checkPublishable, forService, identifyCaller } from './publishable.ts';
import { tooLarge } from './request-body.ts';

export interface RouteTableDeps {
  readonly operations: readonly Operation[];
  readonly upstreams: Readonly<Record<string, Upstream>>;
  /** What the gateway answers itself: the operations of the service `gateway`. */
  readonly local: LocalRoutes;
  /** What happens between the check of the scope and the service, outermost first. */
  readonly policies?: readonly Policy[];
  readonly authenticate: AuthenticateKey;
  /** Undefined: only keys are taken. */
  readonly authenticateToken?: AuthenticateToken | undefined;
  readonly authenticateDelegated?: AuthenticateToken | undefined;
  /** Around the question who calls. */
  readonly guardCallers?: GuardCallers | undefined;
  /** For the service `mcp`, which calls this gateway for its callers; a route table without such a route needs none. */
  readonly delegate?: Delegate | undefined;
  readonly signer: IdentitySigner;
  readonly audit: (entry: AuditEntry) => Promise<void>;
  readonly logger: Logger;
}

const DEFAULT_TIMEOUT_MS = 10_000;
/** As nginx has it: the caller went before there was an answer. */
const CLIENT_CLOSED = 499;

/** Where the service says nothing else: caches on the way do not know that X-Api-Key decides what one may see, so only callers keep answers, and ask with their ETag. */
const KEPT_BY_CALLERS = 'private, no-cache';

const SELF = 'gateway';

/** Bodies of pages are small: they are read whole first, so that no slow browser holds one of the few connections for streams. */
const isStream = (operation: Operation, owner: KeyOwner): boolean => operation.streams !== undefined && owner.origins === undefined;

/** Calls the gateway itself, in the name of whoever calls it. */
const ACTING_SERVICE = MCP;

/** The service, under a signed identity instead of the key. */
const passOn = (operation: Operation, upstream: Upstream, { signer, delegate }: Pick<RouteTableDeps, 'signer' | 'delegate'>): Answerer => async ({ req, res, owner, requestId, timeoutMs, cut, isShared = false, outlivesCaller = false }) => {
  const token = await signer.sign(operation.service, { subject: owner.id, scopes: owner.scopes, workspaceId: owner.workspaceId });
  const { path, headers: own } = forService(req, operation);
  const forMore = operation.service === ACTING_SERVICE && delegate ? { ...protocolHeaders(req), [GATEWAY_TOKEN_HEADER]: await delegate(owner, { clientName: mcpCallOf(req)?.client }) } : {};
  const headers = { ...own, ...forMore, authorization: `Bearer ${token}`, 'x-request-id': requestId, traceparent: traceparentOf(req) ?? '' };
  return await upstream.forward(req, res, { path, headers, timeoutMs: timeoutMs ?? operation.timeoutMs ?? DEFAULT_TIMEOUT_MS, ...(cut && { cut }), isStream: isStream(operation, owner), isDownload: operation.isDownload === true, isFeed: operation.isFeed === true, isShared, outlivesCaller });
};

/** This process, under the identity that a service would get. */
const answerHere = (handler: RequestHandler): Answerer => ({ req, res, next, owner }) => {
  setCaller(req, owner);
  setIdentity(req, { issuer: SELF, subject: owner.id, scopes: owner.scopes, workspaceId: owner.workspaceId });
  return takeReply(handler, req, res, next);
};

/** A route that nobody declared a scope for, or that nobody answers, must never be reachable: the gateway does not start with one. */
export function answererOf(operation: Operation, { upstreams, local, signer, delegate }: Pick<RouteTableDeps, 'upstreams' | 'local' | 'signer' | 'delegate'>): Answerer {
  const known: readonly string[] = scopes;
  if (!known.includes(operation.scope)) throw new Error(`the route ${operation.method} ${operation.path} declares no known scope`);
  const handler = local[operation.operationId];
  if (operation.service === SELF && handler) return answerHere(handler);
  const upstream = upstreams[operation.service];
  if (!upstream) throw new Error(`the route ${operation.method} ${operation.path} names the unknown service ${operation.service}`);
  if (operation.service === ACTING_SERVICE && !delegate) throw new Error(`the route ${operation.method} ${operation.path} needs tokens for the calls of ${ACTING_SERVICE}`);
  return passOn(operation, upstream, { signer, delegate });
}

function checkScope(owner: KeyOwner, operation: Operation): void {
  if (!owner.scopes.includes(operation.scope)) throw new AppError('forbidden', `this ${owner.kind === 'user' ? 'token' : 'key'} lacks the scope ${operation.scope}`);
}

function checkDelegated(owner: KeyOwner, operation: Operation): void {
  if (owner.isDelegated === true && operation.notDelegable === true) throw new AppError('forbidden', 'what this makes outlives a handed-on token: call it with your own key or token');
}

function checkBodySize(operation: Operation, owner: KeyOwner, length: string | undefined): void {
  const { bodyBytes = JSON_LIMIT_BYTES } = operation;
  if (!isStream(operation, owner) && Number(length ?? 0) > bodyBytes) throw tooLarge(bodyBytes);
}

/** One operation and what answers its requests. */
export interface Served {
  readonly operation: Operation;
  readonly handle: FrontHandler;
}

/** Every operation: key, audit, scope, policies, then the service under a signed identity, or this process. */
export function serveOperations(deps: RouteTableDeps): readonly Served[] {
  const { operations, policies = [], audit, logger, guardCallers } = deps;
  const isRecorded = createAuditedRefusals(logger);
  const asked = new WeakSet<Request>();
  const noted = (operation: Operation, answer: Answerer): Answerer => operation.audited !== true ? answer : (call) => {
    asked.add(call.req);
    return answer(call);
  };
  const handle = (operation: Operation, answer: Answerer): FrontHandler => async (req, res, next) => {
    res.setHeader('Cache-Control', KEPT_BY_CALLERS);
    const identify = (): Promise<KeyOwner> => identifyCaller(req, operation, deps);
    const owner = guardCallers ? await guardCallers(req, identify) : await identify();
    const requestId = requestIdOf(req) ?? '';
    if (operation.audited === true)
      res.once('close', () => {
        const status = res.headersSent ? res.statusCode : CLIENT_CLOSED;
        if (!isRecorded({ caller: owner, status, wasAsked: asked.has(req) })) return;
        const path = auditPath(operation, req, status);
        if (path === undefined) return;
        const entry = { keyId: owner.id, workspaceId: owner.workspaceId, operation: operation.operationId, method: req.method, path, status, requestId };
        audit(entry).catch((error: unknown) => logger.error({ err: error, operation: operation.operationId, requestId }, 'audit entry lost'));
      });
    checkPublishable(owner, operation, req.get('origin'));
    // Anybody may write anything there: for whom a call is made is what servers say.
    if (owner.kind === 'publishable') delete req.headers['x-user-id'];
    checkScope(owner, operation);
    checkDelegated(owner, operation);
    checkBodySize(operation, owner, req.get('content-length'));
    const call = { req, res, next, owner, requestId };
    const whole = operation.isSigned === true && guardCallers ? await guardCallers.signed(req, () => answer(call)) : await answer(call);
    if (whole) sendAnswer(res, whole);
  };
  return operations.map((operation) => ({ operation, handle: handle(operation, withPolicies(operation, policies, noted(operation, answererOf(operation, deps)))) }));
}

/** The operations as express finds them. Anything else is 404. */
export function toRouter(served: readonly Served[]): Router {
  const router = Router({ caseSensitive: true, strict: false });
  const handlers = new Map(served.map(({ operation, handle }) => [operation, handle]));
  for (const { path, operations: own, others } of methodsOfPaths(served.map(({ operation }) => operation))) {
    for (const operation of own) {
      const handle = handlers.get(operation);
      if (handle) router[operation.method](toExpressPath(path), handle);
    }
    const allowed = [...own.map(({ method }) => method.toUpperCase()), ...others].join(', ');
    router.all(toExpressPath(path), (req, _res, next) => {
      if (!others.includes(req.method === 'HEAD' ? 'GET' : req.method)) throw new AppError('method_not_allowed', `${req.method} is not possible here: use ${allowed}`, { headers: { Allow: allowed } });
      next();
    });
  }
  return router;
}

/** The fixed route table. */
export const routeTable = (deps: RouteTableDeps): Router => toRouter(serveOperations(deps));
