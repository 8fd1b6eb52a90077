import { once } from 'node:events';
import { createServer, IncomingMessage, ServerResponse } from 'node:http';
import type { RequestListener } from 'node:http';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { AppError } from '@millrace/service';
import type { Logger } from '@millrace/service';
import express from 'express';
import type { Express, Request, RequestHandler, Response } from 'express';
import { Histogram } from 'prom-client';
import type { Registry } from 'prom-client';
import { withDirectRoutes } from './direct-route.ts';
import type { DirectRoute } from './direct-route.ts';
import type { Front } from './front.ts';
import { notFoundHandler, problemDetails } from './problem-details.ts';
import { requestContext } from './request-context.ts';
import { boundSlowClients, checkingIntervalOf } from './slow-clients.ts';
import type { SlowClientOptions } from './slow-clients.ts';

export interface HttpAppDeps {
  readonly logger: Logger;
  readonly metrics: Registry;
  /** Middleware and routers, in their order. */
  readonly handlers: readonly RequestHandler[];
  /** Answered before the handlers where they can; the handlers must have the same operations. */
  readonly direct?: readonly DirectRoute[];
  /** Answers plain requests before the handlers, with express' own requests and responses; the handlers must have the same operations. */
  readonly front?: Front;
}

const ignore = (): void => undefined;

/** Route template, not path: paths may hold personal data. */
const routeOf = (req: Request): string => (req.route ? `${req.baseUrl}${String(req.route.path)}` : 'unmatched');

const createSeconds = (metrics: Registry): Histogram<'method' | 'route' | 'status'> =>
  new Histogram({
    name: 'http_request_duration_seconds',
    help: 'Time to answer, by route template',
    labelNames: ['method', 'route', 'status'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
    registers: [metrics],
  });

const measure = (seconds: Histogram<'method' | 'route' | 'status'>): RequestHandler => (req, res, next) => {
  const startMs = performance.now();
  res.once('finish', () => seconds.observe({ method: req.method, route: routeOf(req), status: res.statusCode }, (performance.now() - startMs) / 1_000));
  next();
};

/** What a server makes its requests and responses of. */
interface Messages {
  readonly IncomingMessage: typeof IncomingMessage;
  readonly ServerResponse: typeof ServerResponse<IncomingMessage>;
}
const messagesOf = new WeakMap<RequestListener, Messages>();

/** Requests and responses that are express' own from the beginning: an object whose prototype is changed later is slow ever after. */
function createMessages(app: Express): Messages {
  class ExpressRequest extends IncomingMessage {}
  class ExpressResponse extends ServerResponse {}
  Object.setPrototypeOf(ExpressRequest.prototype, app.request);
  Object.setPrototypeOf(ExpressResponse.prototype, app.response);
  Object.assign(app, { request: ExpressRequest.prototype, response: ExpressResponse.prototype });
  return { IncomingMessage: ExpressRequest, ServerResponse: ExpressResponse };
}

/** As express makes them in front of its own handlers: nothing new where `startHttpServer` made them. Kernel: an object becomes of the type that its prototype is of. */
function toExpress(app: Express, req: IncomingMessage, res: ServerResponse): readonly [Request, Response] {
  Object.setPrototypeOf(req, app.request);
  Object.setPrototypeOf(res, app.response);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  const [own, answer] = [req as Request, res as Response];
  own.res = answer;
  own.originalUrl = own.url;
  return [own, answer];
}

/** What the front finds is answered by its handler alone, a failure as behind express. */
function withFront(app: Express, front: Front, { seconds, logger }: { readonly seconds: Histogram<'method' | 'route' | 'status'>; readonly logger: Logger }): RequestListener {
  const refuse = problemDetails(logger);
  return (rawReq, rawRes) => {
    const found = front.find(rawReq);
    if (!found) {
      app(rawReq, rawRes);
      return;
    }
    const startMs = performance.now();
    const [req, res] = toExpress(app, rawReq, rawRes);
    req.params = found.params;
    req.route = { path: found.path };
    res.once('finish', () => seconds.observe({ method: req.method, route: found.path, status: res.statusCode }, (performance.now() - startMs) / 1_000));
    requestContext(req, res, ignore);
    front.prepare(res);
    const fail = (error: unknown): void => void refuse(error, req, res, ignore);
    found.handle(req, res, (error?: unknown) => fail(error ?? new AppError('not_found', 'nobody answers this'))).catch(fail);
  };
}

/** An express app with request ids, metrics and problem details around the given handlers, and direct routes or a front before it. */
export function createHttpApp({ logger, metrics, handlers, direct = [], front }: HttpAppDeps): RequestListener {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('query parser', 'simple');
  const seconds = createSeconds(metrics);
  app.use(requestContext, measure(seconds), ...handlers, notFoundHandler, problemDetails(logger));
  const listener = withDirectRoutes(front ? withFront(app, front, { seconds, logger }) : app, direct, (labels, value) => seconds.observe(labels, value));
  messagesOf.set(listener, createMessages(app));
  return listener;
}

export interface HttpServer {
  readonly port: number;
  /** Stops accepting, lets running requests finish for at most `graceMs`, then cuts the rest. */
  close(graceMs?: number): Promise<void>;
}

export interface ListenOptions extends Partial<SlowClientOptions> {
  readonly host: string;
  readonly port: number;
  /** Longest time to receive a whole request; uploads need more than the default of five minutes. */
  readonly requestTimeoutMs?: number;
}

/** By the codes of node:http; everything else that its parser refuses is 400. */
const refusals: Readonly<Record<string, { readonly status: number; readonly title: string; readonly detail: string }>> = {
  ERR_HTTP_REQUEST_TIMEOUT: { status: 408, title: 'Request timeout', detail: 'the request did not arrive in time' },
  HPE_HEADER_OVERFLOW: { status: 431, title: 'Request header fields too large', detail: 'keep the headers below 16 KB' },
};
const malformed = { status: 400, title: 'Malformed request', detail: 'this is not valid HTTP: percent-encode characters outside ASCII in the URL' };

/** Nothing ever came over it: clients open such connections to have one at hand, and would take a 408 for the answer to the request that they are just sending. nginx closes them so, too. */
const isUnused = (code: string | undefined, socket: Duplex): boolean => code === 'ERR_HTTP_REQUEST_TIMEOUT' && socket instanceof Socket && socket.bytesRead === 0;

/** What node's parser refuses never reaches express: it gets its problem here. */
function refuseMalformed(error: Error & { readonly code?: string }, socket: Duplex): void {
  if (!socket.writable || isUnused(error.code, socket)) {
    socket.destroy();
    return;
  }
  const { status, title, detail } = refusals[error.code ?? ''] ?? malformed;
  const body = JSON.stringify({ type: 'urn:millrace:problem:malformed_request', title, status, code: 'malformed_request', detail });
  socket.end(`HTTP/1.1 ${status} ${title}\r\nConnection: close\r\nContent-Type: application/problem+json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
}

export async function startHttpServer(app: RequestListener, { host, port, requestTimeoutMs = 300_000, headersTimeoutMs = 15_000, ...slow }: ListenOptions): Promise<HttpServer> {
  const server = createServer({ ...messagesOf.get(app), requestTimeout: requestTimeoutMs, connectionsCheckingInterval: checkingIntervalOf(headersTimeoutMs), keepAliveTimeout: 65_000, noDelay: true }, app);
  server.on('clientError', refuseMalformed);
  boundSlowClients(server, { headersTimeoutMs, ...slow });
  server.listen(port, host);
  await once(server, 'listening');
  const address = server.address();
  return {
    port: typeof address === 'object' && address ? address.port : port,
    close: async (graceMs = 4_000) => {
      const closed = new Promise<void>((resolve) => void server.close(() => resolve()));
      server.closeIdleConnections();
      const cut = setTimeout(() => server.closeAllConnections(), graceMs);
      await closed;
      clearTimeout(cut);
    },
  };
}
