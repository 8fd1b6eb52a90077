import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Identity, IdentityVerifier } from '@millrace/service';
import type { z } from 'zod';
import { identityFrom } from './authenticate.ts';
import { isPlain, parseText, readOnce } from './json-body.ts';
import { keepFailure, requestIdFrom, setRequestIds, traceparentFrom } from './request-context.ts';
import { textOf } from './route.ts';
import type { Reply, RouteOperation } from './route.ts';

/** What the handler of a direct route gets: the same values as behind `route`. */
export interface DirectInput<O extends RouteOperation> {
  readonly body: O extends { readonly body: infer S extends z.ZodType } ? z.output<S> : undefined;
  readonly identity: Identity;
  readonly traceparent: string | undefined;
}

/** One operation that is answered before express where nothing is special about the request. */
export interface DirectRoute {
  readonly method: string;
  /** As express names it, which is how the metrics do. */
  readonly path: string;
  /** Is this URL of the operation, in its plainest form? */
  takes(url: string): boolean;
  /** Undefined where express is to do it, which also says what is wrong. */
  answer(req: IncomingMessage): Promise<DirectAnswer | undefined>;
}

export interface DirectAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | number>>;
  readonly text: string;
}

/** Whose calls are taken. */
export interface DirectCallers {
  readonly verifier: IdentityVerifier;
  readonly issuers: readonly string[];
}

export interface DirectRouteOptions<O extends RouteOperation> extends DirectCallers {
  readonly operation: O & { readonly body: z.ZodType };
  /** Its reply has a body. */
  readonly handle: (input: DirectInput<O>) => Promise<Reply>;
}

/** The caller, where there is one who may do this, from no other origin; undefined: express says what is wrong. */
export async function directCaller(req: IncomingMessage, { scope }: RouteOperation, { verifier, issuers }: DirectCallers): Promise<Identity | undefined> {
  if (req.headers.origin !== undefined) return undefined;
  const identity = await identityFrom(req.headers.authorization, verifier).catch(() => undefined);
  return identity !== undefined && issuers.includes(identity.issuer) && identity.scopes.includes(scope) ? identity : undefined;
}

/** Runs the handler. What it throws is kept for express, which answers it. */
export async function answerDirectly(req: IncomingMessage, handle: (ids: { readonly requestId: string; readonly traceparent: string }) => Promise<Reply>): Promise<DirectAnswer | undefined> {
  const ids = { requestId: requestIdFrom(req), traceparent: traceparentFrom(req) };
  try {
    return toAnswer(await handle(ids), ids.requestId);
  } catch (error) {
    setRequestIds(req, ids);
    keepFailure(req, error);
    return undefined;
  }
}

/**
 * The short way for an operation that is called most of the time, in front of `route` for the same operation on a router behind `authenticate`: express and
 * its middleware cost more than such an operation itself. It takes what nearly everybody sends (the very path, plain JSON of known length, a valid token
 * with the scope, no `Origin`) and leaves everything else to express, before the handler has run: so every refusal is express' own. A failure of the
 * handler is thrown again behind express, which answers it; the handler never runs twice. Middleware of the app does not see what is answered here.
 */
export function directRoute<const O extends RouteOperation>({ operation, handle, ...callers }: DirectRouteOptions<O>): DirectRoute {
  return {
    method: operation.method.toUpperCase(),
    path: operation.path,
    takes: (url) => url === operation.path,
    async answer(req) {
      const identity = isPlain(req) ? await directCaller(req, operation, callers) : undefined;
      if (identity === undefined) return undefined;
      const text = await readOnce(req).catch(() => undefined);
      const parsed = text === undefined ? undefined : safely(() => operation.body.safeParse(parseText(text)));
      if (parsed?.success !== true) return undefined;
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the body was parsed by the very schema that DirectInput is made of
      return await answerDirectly(req, ({ traceparent }) => handle({ body: parsed.data, identity, traceparent } as DirectInput<O>));
    },
  };
}

export function safely<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}

/** As `send` writes it. */
function toAnswer(reply: Reply, requestId: string): DirectAnswer {
  const { status, headers } = reply;
  const text = textOf(reply);
  return { status, text, headers: { 'X-Request-Id': requestId, 'Content-Type': 'application/json; charset=utf-8', ...headers, 'Content-Length': Buffer.byteLength(text) } };
}

/** `observe` is told of each answer that was given here: route, status, seconds. */
export function withDirectRoutes(app: RequestListener, routes: readonly DirectRoute[], observe: (labels: { readonly method: string; readonly route: string; readonly status: number }, seconds: number) => void): RequestListener {
  if (routes.length === 0) return app;
  const serve = async (route: DirectRoute, req: IncomingMessage, res: ServerResponse): Promise<void> => {
    const startMs = performance.now();
    const answer = await route.answer(req);
    if (answer === undefined) return app(req, res);
    // In one piece: node joins a text with the head.
    res.writeHead(answer.status, answer.headers).end(answer.text);
    observe({ method: route.method, route: route.path, status: answer.status }, (performance.now() - startMs) / 1_000);
  };
  return (req, res) => {
    const found = routes.find((candidate) => req.method === candidate.method && candidate.takes(req.url ?? ''));
    if (found) void serve(found, req, res);
    else app(req, res);
  };
}
