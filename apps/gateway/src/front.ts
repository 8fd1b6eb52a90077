import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import type { Operation } from '@millrace/contracts';
import { createPathFinder } from '@millrace/http';
import type { Front } from '@millrace/http';
import type { RequestHandler } from 'express';
import { hasOneMeaning } from './one-meaning.ts';
import { methodsOfPaths } from './path-methods.ts';
import type { Served } from './route-table.ts';

/** Reads of a service that no page calls and that nobody audits. Those of this process take the longer way: express parses them. */
const isPlain = ({ method, service, audited, isPublishable, isFeed, isDownload }: Operation): boolean =>
  method === 'get' && service !== 'gateway' && audited !== true && isPublishable !== true && isFeed !== true && isDownload !== true;

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

/**
 * Plain GETs of services (no Origin, no body) are answered in front of express, by the same handlers. `security`: what express would have gone through before
 * them; it gives the same headers to each such request, so they are computed once.
 */
export function createFront(served: readonly Served[], security: readonly RequestHandler[]): Front {
  const headers = headersOf(security);
  const handlers = new Map(served.filter(({ operation }) => isPlain(operation)).map(({ operation, handle }) => [operation, handle]));
  // As the router has them; a path that takes no GET is named, too: no other one takes it instead.
  const reads = methodsOfPaths(served.map(({ operation }) => operation)).flatMap(({ path, operations, others }) => {
    const read = operations.find(({ method }) => method === 'get');
    return read || !others.includes('GET') ? [{ path, handle: read && handlers.get(read) }] : [];
  });
  const find = createPathFinder(reads);
  return {
    find: (req) => {
      const { method, url = '', headers: { origin, 'content-length': length, 'transfer-encoding': encoding } } = req;
      return method === 'GET' && origin === undefined && length === undefined && encoding === undefined && hasOneMeaning(req) ? find(url) : undefined;
    },
    prepare: (res) => {
      for (const [name, value] of headers) res.setHeader(name, value);
    },
  };
}
