// One server of the comparison, in a process of its own: node server.ts ours|pipeline|answers, told where its stores are by the parent.
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createKysely, createPool } from '@millrace/database';
import { authenticate, createHttpApp, startHttpServer } from '@millrace/http';
import { keysFor } from '@millrace/redis-kit';
import { createLogger, createMetrics, createServiceKeys, openIdentitySigner, openIdentityVerifier } from '@millrace/service';
import express from 'express';
import { Redis } from 'ioredis';
import { z } from 'zod';
import { configSchema } from '../../../apps/event-ingest/src/config.ts';
import type { EventsSchema } from '../../../apps/event-ingest/src/database.ts';
import { directEvent, eventRoutes } from '../../../apps/event-ingest/src/event.routes.ts';
import { NOBODY_ERASED } from '../../../apps/event-ingest/src/erased-users.ts';
import { createInteractionStore } from '../../../apps/event-ingest/src/interaction.repository.ts';
import { createItemCache } from '../../../apps/event-ingest/src/item-cache.ts';
import { findItems } from '../../../apps/event-ingest/src/item.repository.ts';
import { createMonthPartitions } from '../../../apps/event-ingest/src/month-partitions.ts';
import { openIngest } from '../../../apps/event-ingest/src/open-ingest.ts';
import { openQuarantine } from '../../../apps/event-ingest/src/open-quarantine.ts';
import { userRoutes } from '../../../apps/event-ingest/src/user.routes.ts';

export const kinds = ['ours', 'pipeline', 'answers'] as const;
export type ServerKind = (typeof kinds)[number];
const variables = z.object({ BENCH_REDIS_URL: z.string(), BENCH_DATABASE_URL: z.string() });

/** What somebody writes on the first day: a schema, and what has to be stored. */
const bodySchema = z.object({
  user_id: z.union([z.int(), z.string().max(200)]), asin: z.string().min(1).max(128), event_type: z.enum(['view', 'click', 'add_to_cart', 'purchase', 'rate']),
  metadata: z.record(z.string(), z.json()).default({}),
});

/** The service's own wiring at its own port, with a token that its verifier checks. */
async function serveOurs({ BENCH_REDIS_URL, BENCH_DATABASE_URL }: z.output<typeof variables>): Promise<{ readonly port: number; readonly token: string }> {
  const directory = await mkdtemp(join(tmpdir(), 'millrace-bench-'));
  const keys = await createServiceKeys(['gateway']);
  const [jwks, key] = [join(directory, 'jwks.json'), join(directory, 'key.jwk')];
  await writeFile(jwks, JSON.stringify(keys.jwks));
  await writeFile(key, JSON.stringify(keys.privateKeys['gateway']), { mode: 0o600 });
  const config = configSchema.parse({ INTERNAL_JWKS_FILE: jwks, INTERNAL_KEY_FILE: key, REDIS_URL: BENCH_REDIS_URL, EVENT_INGEST_DATABASE_URL: BENCH_DATABASE_URL });
  const logger = createLogger('bench', 'warn');
  const metrics = createMetrics('bench');
  const pool = createPool({ url: BENCH_DATABASE_URL, name: 'bench', max: 4 });
  const db = createKysely<EventsSchema>(pool);
  const items = createItemCache({ load: (skus) => findItems(db, skus) });
  const { door, redis } = await openIngest({ config, logger, metrics, onClose: () => undefined, store: createInteractionStore(pool, createMonthPartitions(pool)), items, erased: NOBODY_ERASED });
  const { quarantine } = openQuarantine({ config, logger, metrics, onClose: () => undefined, erased: NOBODY_ERASED });
  const verifier = await openIdentityVerifier(jwks, 'event-ingest');
  const handlers = [authenticate(verifier, ['gateway']), eventRoutes({ door, quarantine }), userRoutes({ locking: pool, redis, keys: keysFor(BENCH_REDIS_URL), ttlSeconds: 900, erased: NOBODY_ERASED })];
  const { port } = await startHttpServer(createHttpApp({ logger, metrics, handlers, direct: [directEvent({ door, verifier })] }), { host: '127.0.0.1', port: 0 });
  const signer = await openIdentitySigner(key);
  const sign = (): Promise<string> => signer.sign('event-ingest', { subject: 'bench', scopes: ['events:write'] });
  setInterval(() => void sign().then((token) => process.send?.({ port, token })), 5_000).unref();
  await rm(directory, { recursive: true });
  return { port, token: await sign() };
}

async function listen(app: express.Express): Promise<{ readonly port: number; readonly token: string }> {
  const server = app.listen(0, '127.0.0.1');
  await once(server, 'listening');
  // As ours: connections outlive the turns of the others.
  server.keepAliveTimeout = 65_000;
  // Kernel: a TCP server that listens has an address of this form.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return { port: (server.address() as AddressInfo).port, token: 'none' };
}

/** Express 5, zod, and six commands in one pipeline: neither dedup, nor order, nor a way out when Redis is away. */
function servePipeline({ BENCH_REDIS_URL }: z.output<typeof variables>): ReturnType<typeof listen> {
  const redis = new Redis(BENCH_REDIS_URL);
  const app = express().use(express.json()).post('/api/event', async (req, res) => {
    const { user_id, asin, event_type, metadata } = bodySchema.parse(req.body);
    const user = `naive:${user_id}`;
    await redis.pipeline()
      .xadd('naive', '*', 'event_type', event_type, 'user_id', String(user_id), 'asin', asin, 'timestamp', new Date().toISOString(), 'data', JSON.stringify(metadata))
      .lpush(`${user}:recent_items`, asin).ltrim(`${user}:recent_items`, 0, 19).expire(`${user}:recent_items`, 900)
      .hincrby(`${user}:recent_categories`, 'Audio', 1).set(`${user}:last_active`, Date.now(), 'EX', 900)
      .exec();
    res.json({ success: true, message: `Event logged: ${event_type}` });
  });
  return listen(app);
}

/** Express 5 and zod: checks, answers, stores nothing. */
const serveAnswers = (): ReturnType<typeof listen> =>
  listen(express().use(express.json()).post('/api/event', (req, res) => {
    const { event_type } = bodySchema.parse(req.body);
    res.json({ success: true, message: `Event logged: ${event_type}` });
  }));

if (import.meta.main) {
  // Nobody is left behind where the benchmark breaks off.
  process.once('disconnect', () => process.exit());
  const kind = z.enum(kinds).parse(process.argv[2]);
  const given = variables.parse(process.env);
  const started = kind === 'ours' ? await serveOurs(given) : kind === 'pipeline' ? await servePipeline(given) : await serveAnswers();
  process.send?.(started);
}
