import { route } from '@millrace/http';
import type { RouteHandler, RouteOperation } from '@millrace/http';
import { AppError } from '@millrace/service';
import { Router } from 'express';
import type { RequestHandler } from 'express';

/** The gateway's own operations (service `gateway`), by their id. The route table lets callers in before. */
export type LocalRoutes = Readonly<Record<string, RequestHandler>>;

/** A body that comes too slowly is refused, and read no further: the connection ends with the answer. */
const bodyWithin = (timeoutMs: number): RequestHandler => (req, res, next) => {
  const late = setTimeout(() => {
    req.pause();
    res.set('Connection', 'close');
    next(new AppError('request_timeout', `the body did not arrive within ${timeoutMs / 1_000} s`));
  }, timeoutMs);
  const arrived = (): void => clearTimeout(late);
  req.once('end', arrived).once('close', arrived);
  next();
};

/** One operation that this process answers itself, parsed and answered like those of every other service; its body must arrive within `bodyTimeoutMs`. */
export function localRoute<const O extends RouteOperation>(operation: O, handle: RouteHandler<O>, { bodyTimeoutMs = 15_000 } = {}): LocalRoutes {
  const router = Router();
  if (operation.body) router.use(bodyWithin(bodyTimeoutMs));
  route(router, operation, handle);
  return { [operation.operationId]: router };
}
