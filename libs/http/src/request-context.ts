import { randomUUID } from 'node:crypto';
import type { Identity } from '@millrace/service';
import type { Request, RequestHandler } from 'express';

const requestIds = new WeakMap<Request, string>();
const traceparents = new WeakMap<Request, string>();
const identities = new WeakMap<Request, Identity>();

const TRACEPARENT = /^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;
const REQUEST_ID = /^[\w.:-]{1,128}$/;

export const requestIdOf = (req: Request): string | undefined => requestIds.get(req);
/** W3C trace context of the request; always there behind `requestContext`. */
export const traceparentOf = (req: Request): string | undefined => traceparents.get(req);
export const identityOf = (req: Request): Identity | undefined => identities.get(req);
export const setIdentity = (req: Request, identity: Identity): void => void identities.set(req, identity);

/** Of UUIDs, which node:crypto makes from a store of random bytes: no system call a request. */
const newTraceparent = (): string => `00-${randomUUID().replaceAll('-', '')}-${randomUUID().slice(0, 18).replaceAll('-', '')}-01`;

/** Takes or makes the request id and the traceparent; answers the id. Values of a wrong form are replaced, never passed on. */
export const requestContext: RequestHandler = (req, res, next) => {
  const id = req.get('x-request-id');
  const requestId = id !== undefined && REQUEST_ID.test(id) ? id : randomUUID();
  requestIds.set(req, requestId);
  const trace = req.get('traceparent');
  traceparents.set(req, trace !== undefined && TRACEPARENT.test(trace) ? trace : newTraceparent());
  res.set('X-Request-Id', requestId);
  next();
};
