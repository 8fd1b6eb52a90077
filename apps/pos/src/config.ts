import { isCurrency } from '@millrace/contracts';
import { parseSealKeys } from '@millrace/kiotviet';
import { publicHttpVariables, redisVariables, serviceVariables } from '@millrace/service';
import { z } from 'zod';

const NEEDED = ['KIOTVIET_CLIENT_ID', 'KIOTVIET_CLIENT_SECRET', 'KIOTVIET_RETAILER', 'POS_ENCRYPTION_KEYS'] as const;
const listOf = (text: string): string[] => text.split(',').map((one) => one.trim()).filter(Boolean);

export const configSchema = z
  .object({
    ...serviceVariables,
    ...publicHttpVariables(8107),
    POS_DATABASE_URL: z.url().describe('Postgres, as the role of this service'),
    REDIS_URL: redisVariables.REDIS_URL.describe('Redis of state: access token, budget of calls, lease; not used without a point of sale'),
    CACHE_ENABLED: z.stringbool().default(true).describe('false: every answer comes from the point of sale'),
    CACHE_REDIS_URL: z.url({ protocol: /^rediss?(-cluster|-sentinel)?$/ }).default('redis://127.0.0.1:6380').describe('Redis of kept answers, one that may evict (allkeys-lru); the same forms as REDIS_URL'),
    CATALOG_API_INTERNAL_URL: z.url().default('http://127.0.0.1:8201').describe('Second port of catalog-api (states of products, changes)'),
    KIOTVIET_CLIENT_ID: z.string().regex(/^[\w-]{1,100}$/, 'must be letters, digits, - and _').optional().describe('Client id of the shop (settings of the shop, API connection). Without it, or any of the next three, no point of sale is connected'),
    KIOTVIET_CLIENT_SECRET: z.string().min(1).max(500).optional().describe('Its secret'),
    KIOTVIET_RETAILER: z.string().regex(/^[\w.-]{1,100}$/, 'must be letters, digits, . - and _').optional().describe('Name of the shop, as in its address'),
    POS_ENCRYPTION_KEYS: z.string().refine((text) => parseSealKeys(text) !== undefined, 'must be id:base64 of 32 bytes, several separated by commas').optional().describe('Keys that the access token is kept under: id:base64 of 32 bytes (openssl rand -base64 32), several separated by commas. The first one seals, all of them open'),
    KIOTVIET_WEBHOOK_SECRET: z.string().refine((text) => listOf(text).length > 0 && listOf(text).every((one) => one.length >= 8), 'must be at least 8 characters each').optional().describe('Secret that notifications are signed with, before it is encoded as Base64; several separated by commas. Without it notifications are refused'),
    KIOTVIET_API_URL: z.url({ protocol: /^https?$/ }).default('https://public.kiotapi.com').describe('The API; another one for tests (millrace pos-stub)'),
    KIOTVIET_TOKEN_URL: z.url({ protocol: /^https?$/ }).default('https://id.kiotviet.vn/connect/token').describe('Where access tokens are given'),
    KIOTVIET_CURRENCY: z.string().refine(isCurrency, 'must be an ISO 4217 currency code').default('VND').describe('Currency of its prices'),
    KIOTVIET_BRANCH_IDS: z.string().default('').transform(listOf).pipe(z.array(z.string().regex(/^\d{1,9}$/).transform(Number))).describe('Branches whose stock counts, separated by commas; default: all'),
    KIOTVIET_HOURLY_LIMIT: z.coerce.number().int().min(10).max(1_000_000).default(5_000).describe('GETs in any hour, of all instances together'),
    POS_MERCHANT_ID: z.coerce.number().int().min(1).max(2_147_483_647).default(1).describe('Merchant of products that the synchronisation makes'),
    POS_TIMEOUT_MS: z.coerce.number().int().min(100).max(60_000).default(8_000).describe('Longest answer of the point of sale, milliseconds'),
    POS_MAX_ANSWER_BYTES: z.coerce.number().int().min(1_024).max(67_108_864).default(8_388_608).describe('Largest answer of the point of sale, bytes'),
    POS_SYNC_INTERVAL_MS: z.coerce.number().int().min(0).max(86_400_000).default(0).describe('How often changes are taken over by itself, milliseconds; 0 = only when asked (POST /api/pos/sync) and told (notifications)'),
    POS_CHECK_MS: z.coerce.number().int().min(50).max(60_000).default(1_000).describe('How often it is looked for work: runs that were broken off, notifications, milliseconds'),
    POS_LEASE_MS: z.coerce.number().int().min(500).max(600_000).default(15_000).describe('How long an instance that was killed keeps the others from going on with its work, milliseconds'),
  })
  .superRefine((env, ctx) => {
    const missing = NEEDED.filter((name) => env[name] === undefined);
    if (missing.length === NEEDED.length) return;
    for (const name of missing) ctx.addIssue({ code: 'custom', path: [name], message: `is required for a point of sale: set all of ${NEEDED.join(', ')}, or none` });
  });
export type Config = z.output<typeof configSchema>;

export const webhookSecretsOf = ({ KIOTVIET_WEBHOOK_SECRET: secrets }: Config): readonly string[] => listOf(secrets ?? '');
