import { AppError } from '@millrace/service';
import type { Identity } from '@millrace/service';
import type { Request, RequestHandler, Response, Router } from 'express';
import { z } from 'zod';
import { parseJsonBody } from './json-body.ts';
import { identityOf, throwKeptFailure } from './request-context.ts';
import { parsePart } from './validation.ts';

/** What a route needs to know of an operation (libs/contracts satisfies it). */
export interface RouteOperation {
  readonly operationId: string;
  readonly method: 'get' | 'post' | 'put' | 'patch' | 'delete';
  readonly path: string;
  readonly scope: string;
  readonly params?: z.ZodType;
  readonly query?: z.ZodType;
  readonly headers?: z.ZodType;
  readonly body?: z.ZodType;
  readonly streams?: readonly string[];
}

type PartOf<O, K extends keyof RouteOperation> = O extends { readonly [P in K]: infer S extends z.ZodType } ? z.output<S> : undefined;

export interface RouteInput<O> {
  readonly params: PartOf<O, 'params'>;
  readonly query: PartOf<O, 'query'>;
  readonly headers: PartOf<O, 'headers'>;
  readonly body: PartOf<O, 'body'>;
  readonly identity: Identity;
  readonly req: Request;
  readonly res: Response;
}

export interface Reply {
  readonly status: number;
  readonly body?: unknown;
  /** The body as JSON already. */
  readonly text?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** undefined: the handler has written the response itself (streams). */
export type RouteHandler<O> = (input: RouteInput<O>) => Promise<Reply | undefined>;

export const ok = (body: unknown, headers?: Readonly<Record<string, string>>): Reply => ({ status: 200, body, ...(headers && { headers }) });

/** 200 with a body that is JSON already. */
export const okText = (text: string, headers?: Readonly<Record<string, string>>): Reply => ({ status: 200, text, ...(headers && { headers }) });

export const textOf = ({ body, text }: Reply): string => text ?? JSON.stringify(body);

/** An operation without parameters refuses every parameter: a misspelt one must not be ignored. */
const NO_QUERY = z.strictObject({});

/** OpenAPI path to express 5 path. */
export const toExpressPath = (path: string): string => path.replaceAll(/\{(\w+)\}/g, ':$1');

function identityWithScope(req: Request, scope: string): Identity {
  const identity = identityOf(req);
  if (!identity) throw new AppError('unauthenticated', 'the call has no identity');
  if (!identity.scopes.includes(scope)) throw new AppError('forbidden', `the scope ${scope} is needed`);
  return identity;
}

/** Sends what a handler returned. */
export function send(res: Response, reply: Reply): void {
  if (reply.headers) res.set(reply.headers);
  res.status(reply.status);
  if (reply.body === undefined && reply.text === undefined) res.end();
  // Express also looks whether a GET can be answered 304.
  else if (reply.text === undefined && (res.req.method === 'GET' || res.req.method === 'HEAD')) res.json(reply.body);
  else {
    // A text goes out in one piece with the head.
    const text = textOf(reply);
    res.setHeader('Content-Type', res.getHeader('Content-Type') ?? 'application/json; charset=utf-8');
    res.setHeader('Content-Length', Buffer.byteLength(text));
    res.end(text);
  }
}

/** Mounts one operation: identity and scope, then every part parsed by its schema, then the handler. Errors travel as exceptions. */
export function route<const O extends RouteOperation>(router: Router, operation: O, handle: RouteHandler<O>): void {
  const parsers = operation.body ? [parseJsonBody] : [];
  const checkScope: RequestHandler = (req, _res, next) => {
    identityWithScope(req, operation.scope);
    next();
  };
  router[operation.method](toExpressPath(operation.path), checkScope, ...parsers, async (req, res) => {
    throwKeptFailure(req);
    const identity = identityWithScope(req, operation.scope);
    const part = (name: 'params' | 'query' | 'headers' | 'body', value: unknown, where: 'path' | 'query' | 'headers' | 'body'): unknown =>
      operation[name] ? parsePart(operation[name], value, where) : undefined;
    const input = {
      params: part('params', req.params, 'path'),
      query: operation.query === undefined && !req.url.includes('?') ? {} : parsePart(operation.query ?? NO_QUERY, req.query, 'query'),
      headers: part('headers', req.headers, 'headers'),
      body: part('body', req.body, 'body'),
      identity,
      req,
      res,
    };
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the parts were parsed by the very schemas that RouteInput is made of
    const reply = await handle(input as unknown as RouteInput<O>);
    if (reply) send(res, reply);
  });
}
