import { parseSealKeys } from '@millrace/kiotviet';
import type { KiotvietSettings } from '@millrace/kiotviet';
import type { Config } from './config.ts';

/** Undefined where no point of sale is connected. */
export function settingsOf(config: Config): KiotvietSettings | undefined {
  const sealKeys = parseSealKeys(config.POS_ENCRYPTION_KEYS ?? '');
  const { KIOTVIET_CLIENT_ID: clientId, KIOTVIET_CLIENT_SECRET: clientSecret, KIOTVIET_RETAILER: retailer } = config;
  if (clientId === undefined || clientSecret === undefined || retailer === undefined || sealKeys === undefined) return undefined;
  return {
    clientId, clientSecret, retailer, sealKeys, baseUrl: config.KIOTVIET_API_URL, tokenUrl: config.KIOTVIET_TOKEN_URL, hourlyLimit: config.KIOTVIET_HOURLY_LIMIT, timeoutMs: config.POS_TIMEOUT_MS,
    maxBytes: config.POS_MAX_ANSWER_BYTES, redisUrl: config.REDIS_URL, cacheRedisUrl: config.CACHE_ENABLED ? config.CACHE_REDIS_URL : undefined,
  };
}
