import { closeRedis, connectRedis, keysFor } from '@millrace/redis-kit';
import type { Logger } from '@millrace/service';
import { z } from 'zod';
import { createAccessTokens } from './access-tokens.ts';
import type { AccessTokens, TokenAnswer } from './access-tokens.ts';
import { createAnswerCache, noAnswerCache } from './answer-cache.ts';
import { createBudget } from './budget.ts';
import { createKiotviet } from './client.ts';
import type { Kiotviet } from './client.ts';
import { posBadAnswer, posUnavailable } from './errors.ts';
import { createPosHttp } from './http.ts';
import type { PosHttp } from './http.ts';
import { createSealer } from './seal.ts';
import type { SealKey } from './seal.ts';

export interface KiotvietSettings {
  readonly baseUrl: string;
  readonly tokenUrl: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly retailer: string;
  readonly sealKeys: readonly [SealKey, ...SealKey[]];
  readonly hourlyLimit: number;
  readonly timeoutMs: number;
  readonly maxBytes: number;
  /** Redis of state: token, budget. */
  readonly redisUrl: string;
  /** Redis of caches; undefined: nothing is kept. */
  readonly cacheRedisUrl: string | undefined;
  readonly youngMs?: number;
  readonly halfOpenMs?: number;
}

export interface OpenKiotviet {
  readonly kiotviet: Kiotviet;
  readonly tokens: AccessTokens;
}

export interface OpenKiotvietContext {
  readonly logger: Logger;
  readonly onClose: (step: () => unknown) => void;
  readonly onEvent?: (endpoint: string, outcome: string) => void;
  readonly onToken?: (event: 'refreshed' | 'adopted' | 'refused') => void;
}

const grantSchema = z.object({ access_token: z.string().min(1).max(16_384), expires_in: z.number().positive().max(31_536_000) });
const refusalSchema = z.object({ error: z.string().regex(/^\w{1,60}$/) });

const jsonOf = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

/** The client-credentials grant (RFC 6749, 4.4) as KiotViet has it: `scopes` instead of `scope`. */
export function createTokenAsker(http: PosHttp, { tokenUrl, clientId, clientSecret }: Pick<KiotvietSettings, 'tokenUrl' | 'clientId' | 'clientSecret'>): () => Promise<TokenAnswer> {
  const body = new URLSearchParams({ scopes: 'PublicApi.Access', grant_type: 'client_credentials', client_id: clientId, client_secret: clientSecret }).toString();
  return async () => {
    const { status, text } = await http.send({ method: 'POST', url: new URL(tokenUrl), headers: { 'content-type': 'application/x-www-form-urlencoded' }, body });
    if (status >= 500 || status === 429) throw posUnavailable(`its token endpoint answered ${status}`);
    if (status >= 400) return { refused: refusalSchema.safeParse(jsonOf(text)).data?.error ?? `status ${status}` };
    const grant = grantSchema.safeParse(status === 200 ? jsonOf(text) : undefined);
    if (!grant.success) throw posBadAnswer('its token endpoint gave no token');
    return { token: grant.data.access_token, seconds: grant.data.expires_in };
  };
}

/** The whole client on its connections. Nothing is asked before it is used. */
export function openKiotviet(settings: KiotvietSettings, { logger, onClose, onEvent, onToken }: OpenKiotvietContext): OpenKiotviet {
  const { redisUrl, cacheRedisUrl, retailer, clientId } = settings;
  const keys = keysFor(redisUrl);
  const redis = connectRedis(redisUrl, { role: 'background', name: 'pos' });
  onClose(() => closeRedis(redis));
  const http = createPosHttp(settings);
  onClose(() => http.close());
  const openCache = (url: string) => {
    const cacheRedis = connectRedis(url, { role: 'request', name: 'pos:cache' });
    onClose(() => closeRedis(cacheRedis));
    return createAnswerCache({ redis: cacheRedis, keys: keysFor(url), account: `${retailer}\n${clientId}`, onFailure: (err) => logger.debug({ err }, 'the cache of answers cannot be used') });
  };
  const tokens = createAccessTokens({
    ...settings, redis, keys, sealer: createSealer(settings.sealKeys), ask: createTokenAsker(http, settings), logger, ...(onToken && { onEvent: onToken }),
  });
  const kiotviet = createKiotviet({
    ...settings, http, tokens, logger, budget: createBudget({ redis, keys, retailer, hourlyLimit: settings.hourlyLimit }),
    cache: cacheRedisUrl === undefined ? noAnswerCache : openCache(cacheRedisUrl), ...(onEvent && { onEvent }),
  });
  return { kiotviet, tokens };
}
