import type { Operation } from '@millrace/contracts';
import { closeRedis, connectRedis, keysFor } from '@millrace/redis-kit';
import { every } from '@millrace/service';
import type { ServiceContext } from '@millrace/service';
import type { Config } from '../config.ts';
import type { GatewayDb } from '../database.ts';
import type { Delegate } from '../keys/delegation.ts';
import type { LocalRoutes } from '../local-route.ts';
import type { SessionStore } from '../sessions/session-store.ts';
import { callStep } from './call-step.ts';
import { createPlanCalls } from './plan-calls.ts';
import { createPlanFeed } from './plan-feed.ts';
import { purgePlans } from './plan.repository.ts';
import { createPlanRunner } from './plan-runner.ts';
import type { PlanRunner } from './plan-runner.ts';
import { planRoutes } from './plans.routes.ts';
import { createTellSession } from './tell-session.ts';

export interface OpenPlansDeps extends Pick<ServiceContext<Config>, 'config' | 'logger' | 'metrics' | 'onClose'> {
  readonly db: GatewayDb;
  readonly operations: readonly Operation[];
  readonly sessions: SessionStore;
  readonly delegate: Delegate;
}

export interface OpenedPlans {
  readonly routes: LocalRoutes;
  /** Once this gateway listens at its port. Call it after everything else is registered with `onClose`: it must end first. */
  readonly start: (port: number) => void;
}

const PURGE_EVERY_MS = 600_000;

/** Any address is reached by the loopback of its kind. */
function ownUrl({ HOST: host }: Pick<Config, 'HOST'>, port: number): string {
  const address = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  return `http://${address.includes(':') ? `[${address}]` : address}:${port}`;
}

/** Plans: their routes, and the runner. Needs no Redis to start. */
export function openPlans({ config, logger, metrics, onClose, db, operations, sessions, delegate }: OpenPlansDeps): OpenedPlans {
  const redis = connectRedis(config.REDIS_URL, { role: 'background', name: 'gateway:plans' });
  onClose(() => closeRedis(redis));
  const calls = createPlanCalls(operations);
  const feed = createPlanFeed({ db, logger });
  const runner: PlanRunner = createPlanRunner({ db, redis, keys: keysFor(config.REDIS_URL), calls, callStep, delegate, tellSession: createTellSession({ db, store: sessions, logger }), leaseMs: config.PLAN_LEASE_MS, logger, metrics });
  onClose(every(PURGE_EVERY_MS, { what: 'old plans', logger }, async () => {
    const purged = await purgePlans(db, config.PLAN_RETENTION_HOURS);
    if (purged > 0) logger.info({ purged }, 'old plans forgotten');
  }));
  return {
    routes: planRoutes({ db, calls, sessions, feed, onWanted: (id) => runner.kick(id) }),
    start: (port) => {
      onClose(() => feed.close());
      onClose(() => runner.close());
      runner.start(config.PLAN_GATEWAY_URL?.replace(/\/+$/, '') ?? ownUrl(config, port));
    },
  };
}
