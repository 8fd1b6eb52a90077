import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import type { Operation } from '@millrace/contracts';
import { createPathFinder } from '@millrace/http';
import type { Front, FrontOperation } from '@millrace/http';
import type { RequestHandler } from 'express';
import { hasOneMeaning } from './one-meaning.ts';
import { methodsOfPaths } from './path-methods.ts';
import type { Served } from './route-table.ts';

/** Calls of a service that no page makes, and whose bodies are read whole. Those of this process take the longer way: express parses them. */
const isPlain = ({ service, streams, isPublishable, isFeed, isDownload }: Operation): boolean =>
  service !== 'gateway' && streams === undefined && isPublishable !== true && isFeed !== true && isDownload !== true;

/** Headers that these handlers set in an answer to a request that says nothing, in their order. Throws where one of them does more than that, or needs time. */
function headersOf(handlers: readonly RequestHandler[]): readonly (readonly [string, string | number | readonly string[]])[] {
  const req = new IncomingMessage(new Socket());
  req.method = 'GET';
  req.url = '/';
  const res = new ServerResponse(req);
  for (const handler of handlers) {
    let isPassed = false;
    // Kernel: these handlers use nothing that express adds.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    void handler(req as Parameters<RequestHandler>[0], res as Parameters<RequestHandler>[1], (error?: unknown) => { isPassed = error === undefined; });
    if (!isPassed || res.headersSent) throw new Error('a handler of security headers must set headers only, at once');
  }
  return res.getHeaderNames().map((name) => [name, res.getHeader(name) ?? '']);
}

const METHODS = ['GET', 'POST'] as const;

/** Operations of one method, as the router has them; a path that does not take it is named, too: no other one takes it instead. */
function operationsOf(method: (typeof METHODS)[number], served: readonly Served[]): readonly FrontOperation[] {
  const handlers = new Map(served.filter(({ operation }) => isPlain(operation)).map(({ operation, handle }) => [operation, handle]));
  return methodsOfPaths(served.map(({ operation }) => operation)).flatMap(({ path, operations, others }) => {
    const own = operations.find((operation) => operation.method.toUpperCase() === method);
    return own || !others.includes(method) ? [{ path, handle: own && handlers.get(own) }] : [];
  });
}

/**
 * Plain GETs and POSTs of services (no Origin, bodies of a known length and to POST only) are answered in front of express, by the same handlers. `security`:
 * what express would have gone through before them; it gives the same headers to each such request, so they are computed once.
 */
export function createFront(served: readonly Served[], security: readonly RequestHandler[]): Front {
  const headers = headersOf(security);
  const finders = new Map<string, ReturnType<typeof createPathFinder>>(METHODS.map((method) => [method, createPathFinder(operationsOf(method, served))]));
  return {
    find: (req) => {
      const { method = '', url = '', headers: { origin, 'content-length': length, 'transfer-encoding': encoding } } = req;
      const isKnown = origin === undefined && encoding === undefined && (length === undefined || method === 'POST') && hasOneMeaning(req);
      return isKnown ? finders.get(method)?.(url) : undefined;
    },
    prepare: (res) => {
      for (const [name, value] of headers) res.setHeader(name, value);
    },
  };
}
