import { randomFillSync, randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Identity } from '@millrace/service';
import type { Request, RequestHandler } from 'express';

interface Context {
  readonly requestId: string;
  /** Made when it is first asked for. */
  traceparent: string | undefined;
}

const contexts = new WeakMap<IncomingMessage, Context>();
const identities = new WeakMap<Request, Identity>();
const failures = new WeakMap<IncomingMessage, { readonly error: unknown }>();

const TRACEPARENT = /^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;
const REQUEST_ID = /^[\w.:-]{1,128}$/;

export const requestIdOf = (req: Request): string | undefined => contexts.get(req)?.requestId;
/** W3C trace context of the request; always there, and the same, behind `requestContext`. */
export function traceparentOf(req: Request): string | undefined {
  const context = contexts.get(req);
  return context && (context.traceparent ??= traceparentFrom(req));
}
export const identityOf = (req: Request): Identity | undefined => identities.get(req);
export const setIdentity = (req: Request, identity: Identity): void => void identities.set(req, identity);

/** For a request whose handler has failed before express saw it: its route throws that instead of running the handler again. */
export const keepFailure = (req: IncomingMessage, error: unknown): void => void failures.set(req, { error });
export function throwKeptFailure(req: IncomingMessage): void {
  const failure = failures.get(req);
  if (failure) throw failure.error;
}

const TRACE_BYTES = 24;
const random = Buffer.alloc(TRACE_BYTES * 128);
let used = random.length;

/** From a store of random bytes: no system call a request. */
function newTraceparent(): string {
  if (used === random.length) {
    randomFillSync(random);
    used = 0;
  }
  const hex = random.toString('hex', used, (used += TRACE_BYTES));
  return `00-${hex.slice(0, 32)}-${hex.slice(32)}-01`;
}

const textOf = (header: string | string[] | undefined): string => (typeof header === 'string' ? header : '');

/** The caller's, or a new one where that has a wrong form. */
export function requestIdFrom({ headers }: IncomingMessage): string {
  const id = textOf(headers['x-request-id']);
  return REQUEST_ID.test(id) ? id : randomUUID();
}

/** The caller's, or a new one where that has a wrong form. */
export function traceparentFrom({ headers }: IncomingMessage): string {
  const trace = textOf(headers['traceparent']);
  return TRACEPARENT.test(trace) ? trace : newTraceparent();
}

export function setRequestIds(req: IncomingMessage, { requestId, traceparent }: { readonly requestId: string; readonly traceparent: string }): void {
  contexts.set(req, { requestId, traceparent });
}

/** Takes or makes the request id and the traceparent; answers the id. Values of a wrong form are replaced, never passed on. */
export const requestContext: RequestHandler = (req, res, next) => {
  let context = contexts.get(req);
  if (!context) {
    context = { requestId: requestIdFrom(req), traceparent: undefined };
    contexts.set(req, context);
  }
  res.setHeader('X-Request-Id', context.requestId);
  next();
};
