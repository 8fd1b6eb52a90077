import { route, textOf } from '@millrace/http';
import type { Reply, RouteHandler, RouteOperation } from '@millrace/http';
import { Router } from 'express';
import type { NextFunction, Request, RequestHandler, Response } from 'express';
import type { Answer } from './policy.ts';
import { readBody } from './request-body.ts';

/** The gateway's own operations (service `gateway`), by their id. The route table lets callers in before. */
export type LocalRoutes = Readonly<Record<string, RequestHandler>>;

const takers = new WeakMap<Request, (reply: Reply) => void>();

function toAnswer(reply: Reply): Answer {
  const hasBody = reply.body !== undefined || reply.text !== undefined;
  const own = Object.entries(reply.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value] as const);
  return { status: reply.status, headers: { ...(hasBody && { 'content-type': 'application/json; charset=utf-8' }), ...Object.fromEntries(own) }, body: Buffer.from(hasBody ? textOf(reply) : '') };
}

/**
 * The answer of a local route, whole and not yet sent, so that policies can keep or change it; what its handler throws is thrown.
 * undefined: it was written to `res`, or the caller has gone before.
 */
export function takeReply(handler: RequestHandler, req: Request, res: Response, next: NextFunction): Promise<Answer | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer | undefined>();
  takers.set(req, (reply) => resolve(toAnswer(reply)));
  const passOn = (error?: unknown): void => {
    if (error === undefined) next();
    else reject(error);
  };
  res.once('close', () => {
    if (res.headersSent) resolve(undefined);
  });
  void handler(req, res, passOn);
  return promise;
}

/** The whole body first, as policies read it; `parseJsonBody` finds it. Packed ones are refused there: nobody reads more than was sent. */
const bodyWithin = (timeoutMs: number): RequestHandler => async (req, res, next) => {
  await readBody(req, res, { timeoutMs });
  next();
};

/** One operation that this process answers itself, parsed and answered like those of every other service; its body must arrive within `bodyTimeoutMs`. */
export function localRoute<const O extends RouteOperation>(operation: O, handle: RouteHandler<O>, { bodyTimeoutMs = 15_000 } = {}): LocalRoutes {
  const router = Router();
  if (operation.body) router.use(bodyWithin(bodyTimeoutMs));
  route(router, operation, async (input) => {
    const reply = await handle(input);
    const take = takers.get(input.req);
    if (!take || !reply) return reply;
    take(reply);
    return undefined;
  });
  return { [operation.operationId]: router };
}
