import type { Operation } from '@millrace/contracts';
import { requestIdOf, setRequestIds, traceparentOf } from '@millrace/http';
import type { Identity } from '@millrace/service';
import type { Request, Response } from 'express';
import type { KeyOwner } from '../key.repository.ts';
import type { Answer, Answerer } from '../policy.ts';

/** One operation as a part of a page asks it. */
export interface PartCall {
  readonly req: Request;
  readonly identity: Identity;
  /** Of the part, encoded, with its query. */
  readonly url: string;
  readonly params: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, string>>;
  /** Not from the cache. */
  readonly isFresh?: boolean;
}

/** Asks an operation within this process, through the policies of its answers (cache, resilience), in the name of the page's caller. Throws as the operation does. */
export type AskPart = (operation: Operation, call: PartCall) => Promise<Answer | undefined>;

/** The GET that a caller would have sent for the part alone. Conditions of the page's own request are not the part's. */
function requestOf({ req, url, params, query, isFresh }: PartCall): Request {
  const wish = isFresh === true ? 'no-cache' : req.headers['cache-control'];
  const headers = { accept: 'application/json', ...(wish !== undefined && { 'cache-control': wish }) };
  const own = { method: 'GET', url, originalUrl: url, params, query, headers };
  const part: Request = Object.create(req, Object.fromEntries(Object.entries(own).map(([name, value]) => [name, { value }])));
  setRequestIds(part, { requestId: requestIdOf(req) ?? '', traceparent: traceparentOf(req) ?? '' });
  return part;
}

/** Takes headers, and leads nowhere: a part is taken whole. */
const responseFor = (req: Request): Response => Object.assign(Object.create(req.res ?? null), { setHeader: () => undefined });

const ownerOf = ({ subject, scopes, workspaceId = 'default' }: Identity): KeyOwner => ({ id: subject, scopes, workspaceId, kind: 'secret', isDevelopment: false });

/** `answerers`: by operationId. The answer is shared: it does not end with the page's caller, so that it can fill the cache. */
export const createAskPart = (answerers: ReadonlyMap<string, Answerer>): AskPart => async (operation, call) => {
  const answer = answerers.get(operation.operationId);
  if (!answer) throw new Error(`a page has the part ${operation.operationId}, which this gateway does not ask`);
  const req = requestOf(call);
  return answer({ req, res: responseFor(req), next: () => undefined, owner: ownerOf(call.identity), requestId: requestIdOf(req) ?? '', isShared: true });
};
