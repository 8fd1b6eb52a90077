import { scopes } from '@millrace/contracts';
import type { Operation } from '@millrace/contracts';
import { JSON_LIMIT_BYTES, requestIdOf, setIdentity, toExpressPath, traceparentOf } from '@millrace/http';
import { AppError } from '@millrace/service';
import type { IdentitySigner, Logger } from '@millrace/service';
import { Router } from 'express';
import type { RequestHandler } from 'express';
import type { AuditEntry } from './audit.repository.ts';
import type { AuthenticateKey } from './authenticate-key.ts';
import type { KeyOwner } from './key.repository.ts';
import type { LocalRoutes } from './local-route.ts';
import { sendAnswer, withPolicies } from './policy.ts';
import type { Answerer, Policy } from './policy.ts';
import type { Upstream } from './proxy.ts';
import { checkPublishable, forService, identifyCaller } from './publishable.ts';

export interface RouteTableDeps {
  readonly operations: readonly Operation[];
  readonly upstreams: Readonly<Record<string, Upstream>>;
  /** What the gateway answers itself: the operations of the service `gateway`. */
  readonly local: LocalRoutes;
  /** What happens between the check of the scope and the service, outermost first. */
  readonly policies?: readonly Policy[];
  readonly authenticate: AuthenticateKey;
  readonly signer: IdentitySigner;
  readonly audit: (entry: AuditEntry) => Promise<void>;
  readonly logger: Logger;
}

const DEFAULT_TIMEOUT_MS = 10_000;
/** As nginx has it: the caller went before there was an answer. */
const CLIENT_CLOSED = 499;

const SELF = 'gateway';

/** Bodies of pages are small: they are read whole first, so that no slow browser holds one of the few connections for streams. */
const isStream = (operation: Operation, owner: KeyOwner): boolean => operation.streams !== undefined && owner.origins === undefined;

/** The service, under a signed identity instead of the key. */
const passOn = (operation: Operation, upstream: Upstream, signer: IdentitySigner): Answerer => async ({ req, res, owner, requestId }) => {
  const token = await signer.sign(operation.service, { subject: owner.id, scopes: owner.scopes });
  const { path, headers: own } = forService(req, operation);
  const headers = { ...own, authorization: `Bearer ${token}`, 'x-request-id': requestId, traceparent: traceparentOf(req) ?? '' };
  return await upstream.forward(req, res, { path, headers, timeoutMs: operation.timeoutMs ?? DEFAULT_TIMEOUT_MS, isStream: isStream(operation, owner), isFeed: operation.isFeed === true });
};

/** This process, under the identity that a service would get. */
const answerHere = (handler: RequestHandler): Answerer => async ({ req, res, next, owner }) => {
  setIdentity(req, { issuer: SELF, subject: owner.id, scopes: owner.scopes });
  await handler(req, res, next);
  return undefined;
};

/** A route that nobody declared a scope for, or that nobody answers, must never be reachable: the gateway does not start with one. */
function answererOf(operation: Operation, { upstreams, local, signer }: RouteTableDeps): Answerer {
  const known: readonly string[] = scopes;
  if (!known.includes(operation.scope)) throw new Error(`the route ${operation.method} ${operation.path} declares no known scope`);
  const handler = local[operation.operationId];
  if (operation.service === SELF && handler) return answerHere(handler);
  const upstream = upstreams[operation.service];
  if (!upstream) throw new Error(`the route ${operation.method} ${operation.path} names the unknown service ${operation.service}`);
  return passOn(operation, upstream, signer);
}

function checkScope(owner: KeyOwner, operation: Operation): void {
  if (!owner.scopes.includes(operation.scope)) throw new AppError('forbidden', `this key lacks the scope ${operation.scope}`);
}

function checkBodySize(operation: Operation, owner: KeyOwner, length: string | undefined): void {
  if (!isStream(operation, owner) && Number(length ?? 0) > JSON_LIMIT_BYTES)
    throw new AppError('body_too_large', `the body is larger than ${JSON_LIMIT_BYTES} bytes`, { details: [{ in: 'body', pointer: '', detail: 'is too large' }] });
}

/** The fixed route table: key, audit, scope, policies, then the service under a signed identity, or this process. Anything else is 404. */
export function routeTable(deps: RouteTableDeps): Router {
  const { operations, policies = [], authenticate, audit, logger } = deps;
  const router = Router({ caseSensitive: true, strict: false });
  const handle = (operation: Operation, answer: Answerer): RequestHandler => async (req, res, next) => {
    const owner = await identifyCaller(req, operation, authenticate);
    const requestId = requestIdOf(req) ?? '';
    if (operation.audited === true)
      res.once('close', () => {
        const entry = { keyId: owner.id, operation: operation.operationId, method: req.method, path: operation.isPersonal === true ? operation.path : req.path, status: res.headersSent ? res.statusCode : CLIENT_CLOSED, requestId };
        audit(entry).catch((error: unknown) => logger.error({ err: error, operation: operation.operationId, requestId }, 'audit entry lost'));
      });
    checkPublishable(owner, operation, req.get('origin'));
    checkScope(owner, operation);
    checkBodySize(operation, owner, req.get('content-length'));
    const whole = await answer({ req, res, next, owner, requestId });
    if (whole) sendAnswer(res, whole);
  };
  for (const operation of operations) router[operation.method](toExpressPath(operation.path), handle(operation, withPolicies(operation, policies, answererOf(operation, deps))));
  const methods = new Map<string, string[]>();
  for (const { path, method } of operations) methods.set(path, [...(methods.get(path) ?? []), method.toUpperCase()]);
  for (const [path, allowed] of methods)
    router.all(toExpressPath(path), (req) => {
      throw new AppError('method_not_allowed', `${req.method} is not possible here: use ${allowed.join(', ')}`, { headers: { Allow: allowed.join(', ') } });
    });
  return router;
}
