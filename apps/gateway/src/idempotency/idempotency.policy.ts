import { createHash, randomUUID } from 'node:crypto';
import { repetitions } from '@millrace/contracts';
import type { Operation, Repetition } from '@millrace/contracts';
import { AppError } from '@millrace/service';
import type { Logger } from '@millrace/service';
import type { Answer, Answerer, Call, Policy } from '../policy.ts';
import { readBody } from '../request-body.ts';
import type { Claim, Claimed, IdempotencyStore } from './idempotency-store.ts';

export interface IdempotencyDeps {
  readonly store: IdempotencyStore;
  readonly logger: Logger;
  /** What the table of the contracts says; each POST and PATCH must be in it. */
  readonly table?: Readonly<Record<string, Repetition>>;
}

/** Longer answers are not kept; that the effect is there is. */
export const KEPT_BYTES = 262_144;
const LOCK_MS = 60_000;
const DEFAULT_TIMEOUT_MS = 10_000;
/** For the way there and back, above the longest wait for the answer. */
const MARGIN_MS = 20_000;
const HEADER = { in: 'headers', pointer: '/idempotency-key' } as const;

const sha256 = (...parts: readonly (string | Buffer)[]): string => parts.reduce((hash, part) => hash.update(`${Buffer.byteLength(part)}:`).update(part), createHash('sha256')).digest('hex');

/** undefined: none was sent. @throws invalid_request */
function keyOf({ req }: Call): string | undefined {
  const sent = req.headersDistinct['idempotency-key'];
  if (sent === undefined) return undefined;
  const [key = ''] = sent;
  if (sent.length === 1 && key.length >= 1 && key.length <= 255) return key;
  throw new AppError('invalid_request', 'send one Idempotency-Key of 1 to 255 characters', { details: [{ ...HEADER, detail: 'must have 1 to 255 characters, once' }] });
}

/** A key belongs to the caller that sent it, and a person's id to their workspace; the request is its method, address, user, type and body. */
async function claimOf({ req, res, owner }: Call, key: string): Promise<Claim> {
  const body = await readBody(req, res);
  const { 'x-user-id': user = '', 'content-type': type = '', 'content-encoding': packed = '', 'if-match': ifMatch = '' } = req.headers;
  return { digest: sha256(owner.workspaceId, owner.id, key), fingerprint: sha256(req.method, req.originalUrl, String(user), type, packed, ifMatch, body), token: randomUUID() };
}

const marked = (answer: Answer): Answer => ({ ...answer, headers: { ...answer.headers, 'idempotency-replayed': 'true', 'idempotent-replayed': 'true' } });

/** What was answered before. @throws conflict while it runs, and where the answer was not kept; idempotency_mismatch */
function replay(known: Exclude<Claimed, { state: 'new' }>, { fingerprint }: Claim): Answer {
  if (known.fingerprint !== fingerprint)
    throw new AppError('idempotency_mismatch', 'this Idempotency-Key was used for another request: take a new key for a new request', { details: [{ ...HEADER, detail: 'must be new for a new request' }] });
  if (known.state === 'running')
    throw new AppError('conflict', `a request with this Idempotency-Key is still running, or broke off and is forgotten in ${Math.ceil(known.leftMs / 1_000)} s`, { headers: { 'Retry-After': '1' } });
  if (known.answer) return marked(known.answer);
  throw new AppError('conflict', `the request with this Idempotency-Key has succeeded, but its answer was not kept (it held a secret, or was longer than ${KEPT_BYTES} bytes): read what it changed`);
}

function checkTable(operation: Operation, table: Readonly<Record<string, Repetition>>): boolean {
  if (operation.method !== 'post' && operation.method !== 'patch') return false;
  const repetition = table[operation.operationId];
  if (repetition === undefined) throw new Error(`${operation.operationId} is a ${operation.method.toUpperCase()} and not in the table of repetitions (libs/contracts/src/repetition.ts)`);
  if (repetition === 'keyed' && operation.streams) throw new Error(`${operation.operationId} streams its body: an Idempotency-Key cannot be for it`);
  return repetition === 'keyed';
}

/** @throws where the table names an operation that does not exist */
export function checkRepetitions(operations: readonly Operation[], table: Readonly<Record<string, Repetition>> = repetitions): void {
  const known = new Set(operations.map(({ operationId }) => operationId));
  for (const name of Object.keys(table)) if (!known.has(name)) throw new Error(`the table of repetitions names the unknown operation ${name}`);
}

/** As undici names it; fetch has it one cause deeper. */
function codeOf(error: unknown): unknown {
  if (typeof error !== 'object' || error === null) return undefined;
  return 'code' in error ? error.code : 'cause' in error ? codeOf(error.cause) : undefined;
}
/** Failures of connecting: the service has seen nothing of the request. */
const UNSENT = new Set<unknown>(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'UND_ERR_CONNECT_TIMEOUT']);
/** The service may still be at work, or be done: it was silent, or its connection broke after the request was on its way. The key stays taken until its lock ends. */
const mayStillRun = (error: unknown): boolean => error instanceof AppError && (error.code === 'upstream_timeout' || (error.code === 'upstream_unavailable' && error.cause !== undefined && !UNSENT.has(codeOf(error.cause))));

/**
 * Idempotency-Key (draft-ietf-httpapi-idempotency-key-header-07) on the operations that the table calls keyed: for 24 h a repeated request is answered
 * what the first one was, with Idempotency-Replayed (and Idempotent-Replayed, its name of before). A success alone is kept. The answer is awaited and kept
 * although the caller is gone. Where Redis cannot be asked, a request with a key is refused (503): it might be a second one. Without a key nothing happens here.
 */
export function idempotencyPolicy({ store, logger, table = repetitions }: IdempotencyDeps): Policy {
  const quietly = async (work: Promise<void>, requestId: string): Promise<void> => {
    await work.catch((error: unknown) => logger.error({ err: error, requestId }, 'what became of an idempotency key could not be kept'));
  };
  const take = async (claim: Claim, lockMs: number, requestId: string): Promise<Claimed> => {
    try {
      return await store.claim(claim, lockMs);
    } catch (error) {
      // A server that hangs may come to it later.
      void store.release(claim).catch((cause: unknown) => logger.debug({ err: cause, requestId }, 'idempotency key not released'));
      throw new AppError('unavailable', 'requests with an Idempotency-Key cannot be told from repeated ones now: Redis is away. Nothing was done', { cause: error, headers: { 'Retry-After': '1' } });
    }
  };
  const run = async (call: Call, answer: Answerer, claim: Claim, isKept: boolean): Promise<Answer | undefined> => {
    let whole: Answer | undefined;
    try {
      whole = await answer({ ...call, outlivesCaller: true });
    } catch (error) {
      if (!mayStillRun(error)) await quietly(store.release(claim), call.requestId);
      throw error;
    }
    const status = whole?.status ?? call.res.statusCode;
    if (status >= 200 && status < 300) await quietly(store.finish(claim, isKept && whole && whole.body.length <= KEPT_BYTES ? whole : undefined), call.requestId);
    else if (status !== 504) await quietly(store.release(claim), call.requestId);
    return whole?.headers['idempotent-replayed'] === undefined ? whole : marked(whole);
  };
  return (operation, answer) => {
    if (!checkTable(operation, table)) return answer;
    const lockMs = Math.max(LOCK_MS, (operation.timeoutMs ?? DEFAULT_TIMEOUT_MS) + MARGIN_MS);
    return async (call) => {
      const key = keyOf(call);
      if (key === undefined) return answer(call);
      const claim = await claimOf(call, key);
      const known = await take(claim, lockMs, call.requestId);
      return known.state === 'new' ? run(call, answer, claim, operation.holdsSecret !== true) : replay(known, claim);
    };
  };
}
