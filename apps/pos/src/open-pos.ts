import { checkSchemaVersion, createKysely, createPool, waitForSchema } from '@millrace/database';
import { openKiotviet } from '@millrace/kiotviet';
import type { OpenKiotviet } from '@millrace/kiotviet';
import { closeRedis, connectRedis, keysFor } from '@millrace/redis-kit';
import type { IdentitySigner, ServiceContext } from '@millrace/service';
import type { RequestHandler } from 'express';
import { createCatalogue } from './catalogue.ts';
import { webhookSecretsOf } from './config.ts';
import type { Config } from './config.ts';
import { createPosMetrics } from './metrics.ts';
import type { PosMetrics } from './metrics.ts';
import { migrations } from './migrations/index.ts';
import { notificationRoutes } from './notification.routes.ts';
import { readRoutes } from './read.routes.ts';
import { settingsOf } from './settings.ts';
import { statusRoutes } from './status.routes.ts';
import { syncRoutes } from './sync.routes.ts';
import type { TakeOverDeps } from './take-over.ts';
import { startWorker } from './worker.ts';
import type { Worker } from './worker.ts';

export interface Pos {
  readonly handlers: readonly RequestHandler[];
  /** Undefined where no point of sale is connected. */
  readonly worker: Worker | undefined;
}

type Context = Pick<ServiceContext<Config>, 'config' | 'logger' | 'metrics' | 'health' | 'onClose'> & { readonly signer: IdentitySigner };

function startWork({ config, logger, onClose }: Context, { pos, takeOver, metrics }: { readonly pos: OpenKiotviet; readonly takeOver: TakeOverDeps; readonly metrics: PosMetrics }): Worker {
  const redis = connectRedis(config.REDIS_URL, { role: 'background', name: 'pos:worker' });
  onClose(() => closeRedis(redis));
  const worker = startWorker({
    ...takeOver, kiotviet: pos.kiotviet, logger, metrics, redis, leaseKeys: keysFor(config.REDIS_URL).lease('pos:sync'), leaseMs: config.POS_LEASE_MS, intervalMs: config.POS_SYNC_INTERVAL_MS, checkMs: config.POS_CHECK_MS,
  });
  onClose(() => worker.close());
  return worker;
}

/** The stores of this service and its routes over them. Without a point of sale nothing but Postgres is used. */
export async function openPos(context: Context): Promise<Pos> {
  const { config, logger, health, onClose, signer } = context;
  const pool = createPool({ url: config.POS_DATABASE_URL, name: 'pos', max: 6, logger });
  onClose(() => pool.end());
  const db = createKysely<unknown>(pool);
  await waitForSchema(db, migrations, logger);
  health.addCheck('database', () => checkSchemaVersion(db, migrations));
  const metrics = createPosMetrics(context.metrics);
  const settings = settingsOf(config);
  const pos = settings && openKiotviet(settings, { logger, onClose, onEvent: metrics.asked, onToken: metrics.token });
  const branchIds = config.KIOTVIET_BRANCH_IDS;
  const takeOver: TakeOverDeps = { pool, catalogue: createCatalogue({ baseUrl: config.CATALOG_API_INTERNAL_URL, signer }), rules: { currency: config.KIOTVIET_CURRENCY, branchIds, merchantId: config.POS_MERCHANT_ID } };
  const worker = pos && startWork(context, { pos, takeOver, metrics });
  const secrets = webhookSecretsOf(config);
  const handlers = [
    statusRoutes({ pos, pool, retailer: settings?.retailer, intervalMs: config.POS_SYNC_INTERVAL_MS, hasWebhooks: secrets.length > 0, hasCaches: settings?.cacheRedisUrl !== undefined }),
    readRoutes({ pos, pool, branchIds }), syncRoutes({ pos, takeOver, worker }), notificationRoutes({ pos, pool, secrets, worker, metrics }),
  ];
  return { handlers, worker };
}
