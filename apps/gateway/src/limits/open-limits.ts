import type { Operation } from '@millrace/contracts';
import { closeRedis, connectRedis, keysFor, whenReady } from '@millrace/redis-kit';
import type { Logger } from '@millrace/service';
import type { Response } from 'express';
import { Gauge } from 'prom-client';
import type { Registry } from 'prom-client';
import type { KeyOwner } from '../key.repository.ts';
import type { Policy } from '../policy.ts';
import { joinInstances } from './instances.ts';
import { createEnforce, createLimitPolicy, inWorkspace } from './limit-policy.ts';
import { createLimitSet, createLimitTable } from './limit-table.ts';
import type { LimitSettings } from './limit-table.ts';
import { createLimiter } from './limiter.ts';
import { createRedisGuard } from './redis-guard.ts';

export interface Limits {
  readonly policy: Policy;
  /** One MCP call of a connection: who calls, and the name that the client gives itself. Throws as the policy does. */
  takeMcp(connection: { readonly owner: Pick<KeyOwner, 'id' | 'workspaceId'>; readonly client: string }, res: Pick<Response, 'setHeader'>): Promise<void>;
  close(): Promise<void>;
}

export interface OpenLimitsOptions {
  readonly redisUrl: string;
  readonly operations: readonly Operation[];
  readonly settings: LimitSettings;
  readonly logger: Logger;
  readonly metrics: Registry;
  /** As `RedisGuardDeps`. */
  readonly timeoutMs?: number;
}

/** A client's own name is at most so much of a key. */
const CLIENT_LENGTH = 100;
/** A connection that leads nowhere any more is replaced after so long. */
const SILENT_SOCKET_MS = 2_000;
const LOG_EVERY_MS = 10_000;

/** A failure at most every ten seconds: each call that is limited meanwhile has one. */
function warnSeldom(logger: Logger): (error: unknown) => void {
  let quietUntil = 0;
  return (error) => {
    if (performance.now() < quietUntil) return;
    quietUntil = performance.now() + LOG_EVERY_MS;
    logger.warn({ err: error }, 'rate limits are counted by this instance alone');
  };
}

/** Rate limits over all gateways of one Redis. Needs no Redis to start. Throws where the rules do not fit the operations. */
export function openLimits({ redisUrl, operations, settings, logger, metrics, timeoutMs }: OpenLimitsOptions): Limits {
  const set = createLimitSet(settings);
  const limitsOf = createLimitTable(operations, set);
  const keys = keysFor(redisUrl);
  const redis = connectRedis(redisUrl, { role: 'once', name: 'gateway-limits', silentSocketMs: SILENT_SOCKET_MS, ...(timeoutMs !== undefined && { commandTimeoutMs: timeoutMs }) });
  const instances = joinInstances({ redis, keys, logger });
  // At once instead of with the first beat: until then this one takes itself for the only one.
  whenReady(redis).then(() => instances.beat()).catch((error: unknown) => logger.warn({ err: error }, 'the gateways that share the limits are not known yet'));
  metrics.registerMetric(new Gauge({ name: 'rate_limit_instances', help: 'Gateways that share the limits, as last heard', registers: [], collect() { this.set(instances.count()); } }));
  const limiter = createLimiter({ redis, instances: () => instances.count(), askRedis: createRedisGuard({ metrics, onFailure: warnSeldom(logger), timeoutMs }) });
  const enforce = createEnforce({ limiter, metrics });
  return {
    policy: createLimitPolicy({ enforce, limitsOf, keys }),
    takeMcp: ({ owner: { id, workspaceId }, client }, res) => enforce([{ limit: set.mcp, key: keys.rateLimits.mcp(`${inWorkspace(workspaceId, id)}:${client.slice(0, CLIENT_LENGTH).replaceAll(':', '%3A')}`), cost: 1 }], res),
    async close() {
      await instances.close();
      await closeRedis(redis);
    },
  };
}
