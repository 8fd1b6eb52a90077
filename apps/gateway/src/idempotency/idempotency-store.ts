import { asList, asText, defineScript } from '@millrace/redis-kit';
import type { Keys, Redis } from '@millrace/redis-kit';
import { z } from 'zod';
import type { Answer } from '../policy.ts';

/** Of one request under one key. */
export interface Claim {
  /** Digest of the caller and its key. */
  readonly digest: string;
  /** Digest of the request. */
  readonly fingerprint: string;
  /** Of this attempt alone. */
  readonly token: string;
}

export type Claimed =
  | { readonly state: 'new' }
  | { readonly state: 'running'; readonly fingerprint: string; readonly leftMs: number }
  /** Without an answer: it was too long to be kept. */
  | { readonly state: 'done'; readonly fingerprint: string; readonly answer?: Answer };

/** Rejects where Redis is away, silent for 500 ms, or (claims) full. */
export interface IdempotencyStore {
  /** Takes the key for `lockMs`, or tells what is known of it: of simultaneous requests one gets `new`. Safe to send twice. */
  claim(claim: Claim, lockMs: number): Promise<Claimed>;
  /** Keeps the answer, undefined where it is too long, for 24 h. Nothing where another request has taken the key over meanwhile. Also on a server that is full. */
  finish(claim: Claim, answer: Answer | undefined): Promise<void>;
  /** The key may be used again at once, where it is still this request's. */
  release(claim: Claim): Promise<void>;
}

const DAY_MS = 86_400_000;

/** KEYS record; ARGV token, fingerprint, lockMs. The token's own command, sent again after a lost connection, is new again. */
const claimScript = defineScript(`
local known = redis.call('HMGET', KEYS[1], 'fingerprint', 'token', 'answer')
if not known[1] or known[2] == ARGV[1] then
  redis.call('HSET', KEYS[1], 'fingerprint', ARGV[2], 'token', ARGV[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  return {'new'}
end
if known[3] then return {'done', known[1], known[3]} end
return {'running', known[1], tostring(redis.call('PTTL', KEYS[1]))}`);

/** KEYS record; ARGV token, fingerprint, answer, ttlMs. A lock that ended while nobody else came is still this request's. */
const finishScript = defineScript(`
local token = redis.call('HGET', KEYS[1], 'token')
if token and token ~= ARGV[1] or not token and redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], 'fingerprint', ARGV[2], 'answer', ARGV[3])
redis.call('HDEL', KEYS[1], 'token')
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1`, { whenFull: 'run' });

/** KEYS record; ARGV token. */
const releaseScript = defineScript(`
if redis.call('HGET', KEYS[1], 'token') == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`, { whenFull: 'run' });

const TOO_LONG = '';
const storedAnswer = z.object({ status: z.int(), headers: z.record(z.string(), z.string()), body: z.base64() });
const encode = ({ status, headers, body }: Answer): string => JSON.stringify({ status, headers, body: body.toString('base64') });
function decode(text: string): Answer {
  const { status, headers, body } = storedAnswer.parse(JSON.parse(text));
  return { status, headers, body: Buffer.from(body, 'base64') };
}

export function createIdempotencyStore(redis: Redis, keys: Keys): IdempotencyStore {
  return {
    async claim({ digest, fingerprint, token }, lockMs) {
      const [state, known = '', rest = ''] = asList(await claimScript(redis, [keys.idempotency(digest)], [token, fingerprint, lockMs])).map(asText);
      if (state === 'new') return { state };
      if (state === 'running') return { state, fingerprint: known, leftMs: Math.max(0, Number(rest)) };
      return { state: 'done', fingerprint: known, ...(rest !== TOO_LONG && { answer: decode(rest) }) };
    },
    finish: async ({ digest, fingerprint, token }, answer) => void (await finishScript(redis, [keys.idempotency(digest)], [token, fingerprint, answer ? encode(answer) : TOO_LONG, DAY_MS])),
    release: async ({ digest, token }) => void (await releaseScript(redis, [keys.idempotency(digest)], [token])),
  };
}
