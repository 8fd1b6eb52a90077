import { createHash } from 'node:crypto';
import { AppError } from '@millrace/service';
import type { Identity } from '@millrace/service';
import type { Reply, RouteHandler, RouteInput, RouteOperation } from './route.ts';

export type IdempotencyBegin =
  | { readonly state: 'new'; readonly claim: string }
  | { readonly state: 'running' }
  | { readonly state: 'done'; readonly fingerprint: string; readonly reply: Reply };

/** Where replies are kept; a key belongs to the caller that sent it. `T`: a transaction of the store. */
export interface IdempotencyStore<T = never> {
  /** Claims the key for 60 s, or tells what is known of it. Atomic: of two simultaneous requests one gets `new`. */
  begin(key: string, fingerprint: string): Promise<IdempotencyBegin>;
  /** Keeps the reply with the effect: both are there, or neither is. @throws conflict where another request has taken the key over: then the effect must not be */
  keep(trx: T, key: string, claim: string, reply: Reply): Promise<void>;
  /** The handler failed: the key may be used again, unless its reply is kept or another request has taken it over. */
  abort(key: string, claim: string): Promise<void>;
}

/** What a handler keeps its reply with, in the transaction of its effect; does nothing for a request without a key. */
export type KeepReply<T> = (trx: T, reply: Reply) => Promise<void>;

/** A person's id is unique within their workspace only, and may hold colons; that of a key is neither. */
const ownKey = ({ subject, workspaceId }: Identity, header: string): string => (subject.startsWith('user:') ? JSON.stringify([workspaceId, subject, header]) : `${subject}:${header}`);

/**
 * The effect of the handler, which calls `keep` in its transaction, is there once per Idempotency-Key (draft-ietf-httpapi-idempotency-key-header-07) for 24 h: a repeated request answers what the
 * first one answered, a concurrent one 409, the same key with another request 422. Failed requests are not kept. Whatever is
 * killed or breaks, also the connection over which the commit is answered: a request that is repeated after a failure has no second effect.
 */
export function idempotent<O extends RouteOperation, T>(store: IdempotencyStore<T>, handle: (input: RouteInput<O>, keep: KeepReply<T>) => Promise<Reply>): RouteHandler<O> {
  return async (input: RouteInput<O>) => {
    const header = input.req.get('idempotency-key');
    if (header === undefined) return handle(input, async () => undefined);
    const key = ownKey(input.identity, header);
    const fingerprint = createHash('sha256').update(JSON.stringify([input.req.method, input.req.originalUrl, input.body])).digest('hex');
    const known = await store.begin(key, fingerprint);
    if (known.state === 'running') throw new AppError('conflict', 'a request with this Idempotency-Key is still running', { headers: { 'Retry-After': '1' } });
    if (known.state === 'done') return replay(known, fingerprint);
    try {
      return await handle(input, (trx, reply) => store.keep(trx, key, known.claim, reply));
    } catch (error) {
      await store.abort(key, known.claim);
      throw error;
    }
  };
}

function replay(known: { readonly fingerprint: string; readonly reply: Reply }, fingerprint: string): Reply {
  if (known.fingerprint !== fingerprint)
    throw new AppError('idempotency_mismatch', 'this Idempotency-Key was used for another request', { details: [{ in: 'headers', pointer: '/idempotency-key', detail: 'must be new for a new request' }] });
  return { ...known.reply, headers: { ...known.reply.headers, 'Idempotent-Replayed': 'true' } };
}
