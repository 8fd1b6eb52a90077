import type { IncomingMessage } from 'node:http';
import { AppError } from '@millrace/service';
import type { RequestHandler } from 'express';

const HOST_LENGTH = 4;

/** Names and values take turns in them. */
function countsHosts(rawHeaders: readonly string[]): number {
  let hosts = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) if (rawHeaders[at]?.length === HOST_LENGTH && rawHeaders[at]?.toLowerCase() === 'host') hosts += 1;
  return hosts;
}

/** Does every server on the way read this request as this one does? */
export const hasOneMeaning = ({ url = '', rawHeaders }: Pick<IncomingMessage, 'url' | 'rawHeaders'>): boolean => (url.startsWith('/') || url === '*') && !url.includes('#') && countsHosts(rawHeaders) < 2;

/**
 * Refuses what node's parser lets through and another server on the way may read in another way: two Hosts (RFC 9112, 3.2), and a target that is not just a
 * path with a query: an absolute one, which proxies take for the place to go to, or one with a fragment. The connection ends with the answer.
 */
export const oneMeaning: RequestHandler = (req, res, next) => {
  if (hasOneMeaning(req)) {
    next();
    return;
  }
  res.set('Connection', 'close');
  throw new AppError('invalid_request', 'send one Host, and only the path and the query in the request line');
};
