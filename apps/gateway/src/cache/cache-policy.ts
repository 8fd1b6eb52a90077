import { createHash } from 'node:crypto';
import { cacheHeaders } from '@millrace/cache';
import type { CacheResult, Keeping, ResponseCache } from '@millrace/cache';
import { LOGGED_SEARCH_HEADER, problemSchema } from '@millrace/contracts';
import type { Operation } from '@millrace/contracts';
import { matchesIfNoneMatch } from '@millrace/http';
import type { Request } from 'express';
import type { Answer, Answerer, Call, Policy } from '../policy.ts';
import { hasBody } from '../request-body.ts';
import { cacheKey, createRequestReader } from './cache-key.ts';
import type { Asked } from './cache-key.ts';
import { cachedOperations, checkCachedOperations, tags } from './cached-operations.ts';
import type { CachedOperation } from './cached-operations.ts';
import { changingOperations } from './changing-operations.ts';
import type { CachedSearches } from './cached-searches.ts';
import type { ChangedTags } from './changing-operations.ts';
import { parseJson } from './parse-json.ts';

const NAME = 'millrace';

/**
 * `no-cache` and `no-store` (RFC 9111, 5.2.1): the caller wants what the service says now. Not beside If-None-Match: fetch() adds `no-cache` there by itself
 * (Fetch standard, "HTTP-network-or-cache fetch").
 */
const wantsOrigin = ({ 'cache-control': wish, 'if-none-match': known }: Request['headers']): boolean => wish !== undefined && known === undefined && /\bno-(cache|store)\b/i.test(wish);
/** Of the service's answer: not to be shared. */
const isPrivate = (header: string | undefined): boolean => header !== undefined && /\b(no-store|no-cache|private)\b/i.test(header);

/** Every 200 gets an ETag, so that callers can ask whether theirs is still the one. */
const withEtag = (answer: Answer): Answer =>
  answer.status !== 200 || answer.headers['etag'] !== undefined ? answer : { ...answer, headers: { ...answer.headers, etag: `"${createHash('sha256').update(answer.body).digest('base64url').slice(0, 22)}"` } };

/** For how long, and until which changes, an answer is kept. Degraded answers, failures and refusals but 404 never are. */
function keepingOf({ operation, freshMs, staleWhileRevalidateMs, staleIfErrorMs, notFoundMs, tagsOf }: CachedOperation, asked: Asked, { status, headers, body }: Answer): Keeping | undefined {
  if (isPrivate(headers['cache-control'])) return undefined;
  const parsed = status === 200 ? parseJson(body) : undefined;
  if (status !== 404 && parsed === undefined) return undefined;
  const found = tagsOf(asked, parsed);
  if (found === undefined) return undefined;
  const all = [...new Set([...found, tags.operation(operation.operationId)])];
  return status === 404 ? { freshMs: notFoundMs, tags: all } : { freshMs, staleWhileRevalidateMs, staleIfErrorMs, tags: all };
}

/** A problem that was stored names another call. */
function withRequestId({ requestId }: Call, answer: Answer): Answer {
  const problem = problemSchema.safeParse(parseJson(answer.body)).data;
  return problem?.request_id === undefined ? answer : { ...answer, body: Buffer.from(JSON.stringify({ ...problem, request_id: requestId })) };
}

interface Prepared {
  /** As callers get it. */
  readonly shown: Answer;
  /** What the search log says of it. */
  readonly logged: string | undefined;
}

const prepared = new WeakMap<Answer, Prepared>();
/** Once for each answer that this process holds. */
function prepare(found: Answer): Prepared {
  const known = prepared.get(found);
  if (known) return known;
  const { [LOGGED_SEARCH_HEADER]: logged, ...headers } = found.headers;
  const fresh = { shown: logged === undefined ? found : { ...found, headers }, logged };
  prepared.set(found, fresh);
  return fresh;
}

/** 304 where the caller has this very answer (RFC 9110, 13.1.2). */
function toAnswer(call: Call, found: Answer, result: CacheResult): Answer {
  const { req } = call;
  const answer = found.status === 200 ? found : withRequestId(call, found);
  const headers = { ...answer.headers, ...cacheHeaders(NAME, result) };
  const { etag } = answer.headers;
  if (answer.status !== 200 || etag === undefined || !matchesIfNoneMatch(req.get('if-none-match'), etag)) return { status: answer.status, headers, body: answer.body };
  const { 'content-type': _type, 'content-length': _length, ...rest } = headers;
  return { status: 304, headers: rest, body: Buffer.alloc(0) };
}

/** The answers of a read. Calls that are not for the cache go to the service as they are; of those that are, what the service does not hear of is told to `searches`. */
function cachedRead({ cache, searches }: CachePolicyDeps, cached: CachedOperation, answer: Answerer): Answerer {
  const { operation: { operationId }, personalHeaders } = cached;
  const readRequest = createRequestReader(cached);
  const bypass = (call: Call): Promise<Answer | undefined> => {
    call.res.setHeader('cache-status', `${NAME}; fwd=bypass`);
    return answer(call);
  };
  return async (call) => {
    const { req, owner } = call;
    // A body is its sender's own: whoever waits for the same answer would wait for it.
    if (req.method !== 'GET' || hasBody(req) || wantsOrigin(req.headers) || personalHeaders.some((name) => req.headers[name] !== undefined)) return bypass(call);
    const asked = readRequest(req);
    if (!asked) return bypass(call);
    const startMs = performance.now();
    let isServed = false;
    const result = await cache.get({
      id: cacheKey(operationId, owner, asked), operation: operationId,
      fetch: async () => {
        isServed = true;
        const whole = await answer({ ...call, isShared: true });
        return whole && withEtag(whole);
      },
      keep: (whole) => keepingOf(cached, asked, whole),
    });
    // It is too long to be held.
    if (!result.answer) return bypass(call);
    const { shown, logged } = prepare(result.answer);
    // A service that failed has not logged it.
    if (logged !== undefined && (!isServed || result.outcome === 'stale_error')) searches.given(logged, performance.now() - startMs);
    return toAnswer(call, shown, result);
  };
}

/** A write. What it changed is purged before its caller hears of it, also where nobody knows whether it happened. */
const purgingWrite = (cache: ResponseCache, changed: ChangedTags, answer: Answerer): Answerer => async (call) => {
  let ended: Answer | undefined;
  try {
    ended = await answer(call);
    return ended;
  } finally {
    const isRefused = ended !== undefined && (ended.isUnsent === true || (ended.status >= 400 && ended.status < 500));
    if (!isRefused) await cache.purge(changed(call, ended));
  }
};

export interface CachePolicyDeps {
  readonly cache: ResponseCache;
  readonly searches: Pick<CachedSearches, 'given'>;
}

/** The cache as a policy. `served`: a policy for an operation that is not among them stops the gateway. */
export function cachePolicy(deps: CachePolicyDeps, served: readonly Operation[]): Policy {
  checkCachedOperations(served);
  const byId = new Map(cachedOperations.map((cached) => [cached.operation.operationId, cached]));
  return (operation, answer) => {
    const cached = byId.get(operation.operationId);
    const changed = changingOperations.get(operation.operationId);
    return cached ? cachedRead(deps, cached, answer) : changed ? purgingWrite(deps.cache, changed, answer) : answer;
  };
}
