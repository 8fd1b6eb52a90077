import { createHmac } from 'node:crypto';
import { asList, defineScript } from '@millrace/redis-kit';
import type { Keys, Redis } from '@millrace/redis-kit';
import { AppError } from '@millrace/service';
import type { Logger } from '@millrace/service';
import { z } from 'zod';
import type { Sealer } from './seal.ts';

export interface TokenStoreDeps {
  /** A `background` connection: nobody shall wait only 500 ms for what everybody waits for. */
  readonly redis: Redis;
  readonly keys: Keys;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly sealer: Sealer;
  readonly logger: Pick<Logger, 'info' | 'warn'>;
}

export interface Known {
  readonly token: string;
  readonly keyId: string;
  readonly ttlMs: number;
  /** By performance.now(). */
  readonly untilMs: number;
}

export interface Stored {
  /** As it is kept; '' = nothing. */
  readonly raw: string;
  /** Undefined also where it does not open. */
  readonly known: Known | undefined;
}

export interface TokenStore {
  /** Rejects with unavailable where Redis cannot be asked. */
  read(): Promise<Stored>;
  /** Keeps a new token, unless another one was kept since `before` was read: that one is answered then. Where Redis cannot keep it this instance has it alone. */
  keep(token: string, seconds: number, before: string): Promise<{ readonly known: Known; readonly isOurs: boolean }>;
}

const MARGIN_MS = 60_000;
const LONGEST_MS = 86_400_000;
const recordSchema = z.object({ token: z.string().min(1), ttl_ms: z.number().positive() });

/** KEYS token; ARGV what it was when it was read ('' = nothing), sealed token, ttlMs. 1 where it was kept, 0 where another one is there meanwhile. */
const keepToken = defineScript(`
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1`, { whenFull: 'run' });
/** KEYS token. {sealed, ms left} */
const readToken = defineScript(`
local value = redis.call('GET', KEYS[1])
if not value then return {'', 0} end
return {value, redis.call('PTTL', KEYS[1])}`, { whenFull: 'run' });

/** Tells tokens of one secret from those of the next, without telling the secret: HMAC-SHA-256 (RFC 2104) of it under the client's id, 32 hex digits. */
export const secretHash = (clientId: string, clientSecret: string): string => createHmac('sha256', clientId).update(clientSecret).digest('hex').slice(0, 32);

/** How long a token is kept: its own life less a margin (less half of a short one), at most a day. */
export const lifeOf = (seconds: number): number => Math.min(LONGEST_MS, Math.max(seconds * 500, seconds * 1_000 - MARGIN_MS));

/** A token for all instances, sealed, in Redis. How long it is good for is counted by Redis' clock. */
export function createTokenStore({ redis, keys, clientId, clientSecret, sealer, logger }: TokenStoreDeps): TokenStore {
  const key = keys.posToken(clientId, secretHash(clientId, clientSecret));
  const read = async (): Promise<Stored> => {
    const [sealed, left] = asList(await readToken(redis, [key], []).catch((cause: unknown) => {
      throw new AppError('unavailable', 'the connection to the point of sale needs Redis, which cannot be asked now', { cause, headers: { 'Retry-After': '2' } });
    }));
    const raw = typeof sealed === 'string' ? sealed : '';
    const opened = raw === '' ? undefined : sealer.open(raw, key);
    if (raw !== '' && opened === undefined) logger.warn({}, 'the kept access token of the point of sale does not open, it is replaced');
    const parsed = recordSchema.safeParse(opened === undefined ? undefined : JSON.parse(opened.text));
    if (!parsed.success || opened === undefined || Number(left) <= 0) return { raw, known: undefined };
    return { raw, known: { token: parsed.data.token, keyId: opened.keyId, ttlMs: parsed.data.ttl_ms, untilMs: performance.now() + Number(left) } };
  };
  return {
    read,
    async keep(token, seconds, before) {
      const ttlMs = lifeOf(seconds);
      const isKept = await keepToken(redis, [key], [before, sealer.seal(JSON.stringify({ token, ttl_ms: ttlMs }), key), Math.ceil(ttlMs)]).catch((err: unknown) => {
        logger.warn({ err }, 'the access token of the point of sale could not be kept, this instance uses it alone');
        return 1;
      });
      // A lease that ran out while we asked: another one's token is there, and may have ended ours.
      const other = isKept === 0 ? (await read()).known : undefined;
      if (other) return { known: other, isOurs: false };
      logger.info({ keyId: sealer.keyId, seconds }, 'new access token of the point of sale');
      return { known: { token, keyId: sealer.keyId, ttlMs, untilMs: performance.now() + ttlMs }, isOurs: true };
    },
  };
}
