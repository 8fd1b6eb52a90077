// ut360-lookup as it is, in a process of its own, for a key that may export: node segment-server.ts <databaseUrl> <redisUrl>. Its port goes to the parent.
import { authenticate, createHttpApp, startHttpServer } from '@millrace/http';
import { createHealth, createLogger, createMetrics } from '@millrace/service';
import { configSchema } from '../../../apps/ut360-lookup/src/config.ts';
import { openLookup } from '../../../apps/ut360-lookup/src/open-lookup.ts';

const [databaseUrl = '', redisUrl = ''] = process.argv.slice(2);
const config = configSchema.parse({ INTERNAL_JWKS_FILE: '-', INTERNAL_KEY_FILE: '-', UT360_REDIS_URL: redisUrl, UT360_LOOKUP_DATABASE_URL: databaseUrl, UT360_PII_DAILY_QUOTA: '1000000000' });
const [logger, metrics] = [createLogger('bench', 'warn'), createMetrics('bench')];
const { handlers } = await openLookup({ config, logger, metrics, health: createHealth(), onClose: () => undefined });
const verifier = { verify: async () => ({ issuer: 'gateway', subject: 'bench', scopes: ['ut360:read', 'pii:read'] }) };
const { port } = await startHttpServer(createHttpApp({ logger, metrics, handlers: [authenticate(verifier, ['gateway']), ...handlers] }), { host: '127.0.0.1', port: 0 });
process.send?.({ port, rss: process.memoryUsage.rss() });
