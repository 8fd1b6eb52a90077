import { createHash } from 'node:crypto';
import { AppError } from '@millrace/service';
import type { Reply, RouteHandler, RouteInput, RouteOperation } from './route.ts';

export type IdempotencyBegin =
  | { readonly state: 'new'; readonly claim: string }
  | { readonly state: 'running' }
  | { readonly state: 'done'; readonly fingerprint: string; readonly reply: Reply };

/** Where replies are kept; a key belongs to the caller that sent it. */
export interface IdempotencyStore {
  /** Claims the key for 60 s, or tells what is known of it. Atomic: of two simultaneous requests one gets `new`. */
  begin(key: string, fingerprint: string): Promise<IdempotencyBegin>;
  /** Both do nothing where the claim is no longer the key's: another request has taken it over. */
  finish(key: string, claim: string, reply: Reply): Promise<void>;
  /** The handler failed: the key may be used again. */
  abort(key: string, claim: string): Promise<void>;
}

/**
 * Runs the handler once per Idempotency-Key (draft-ietf-httpapi-idempotency-key-header-07) for 24 h: a repeated request answers what the
 * first one answered, a concurrent one 409, the same key with another request 422. Failed requests are not kept.
 */
export function idempotent<O extends RouteOperation>(store: IdempotencyStore, handle: RouteHandler<O>): RouteHandler<O> {
  return async (input: RouteInput<O>) => {
    const header = input.req.get('idempotency-key');
    if (header === undefined) return handle(input);
    const key = `${input.identity.subject}:${header}`;
    const fingerprint = createHash('sha256').update(JSON.stringify([input.req.method, input.req.originalUrl, input.body])).digest('hex');
    const known = await store.begin(key, fingerprint);
    if (known.state === 'running') throw new AppError('conflict', 'a request with this Idempotency-Key is still running', { headers: { 'Retry-After': '1' } });
    if (known.state === 'done') return replay(known, fingerprint);
    let reply: Awaited<ReturnType<typeof handle>>;
    try {
      reply = await handle(input);
    } catch (error) {
      await store.abort(key, known.claim);
      throw error;
    }
    // Not inside the try: the effect is there, so the key must not become free because its reply could not be kept.
    if (reply) await store.finish(key, known.claim, reply);
    else await store.abort(key, known.claim);
    return reply;
  };
}

function replay(known: { readonly fingerprint: string; readonly reply: Reply }, fingerprint: string): Reply {
  if (known.fingerprint !== fingerprint)
    throw new AppError('idempotency_mismatch', 'this Idempotency-Key was used for another request', { details: [{ in: 'headers', pointer: '/idempotency-key', detail: 'must be new for a new request' }] });
  return { ...known.reply, headers: { ...known.reply.headers, 'Idempotent-Replayed': 'true' } };
}
