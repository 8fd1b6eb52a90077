import { apiVersion } from '@millrace/contracts';
import { createConfirmations, createMemoryUsage } from '@millrace/mcp-tools';
import { closeRedis, connectRedis, keysFor } from '@millrace/redis-kit';
import { openIdentityVerifier } from '@millrace/service';
import type { ServiceContext } from '@millrace/service';
import type { RequestHandler } from 'express';
import { GATEWAY } from './caller.ts';
import { toolLimitsOf } from './config.ts';
import type { Config } from './config.ts';
import { readConfirmSecret } from './confirm-secret.ts';
import { mcpRoutes } from './mcp.routes.ts';
import { createMcpMetrics } from './metrics.ts';
import { createRedisUsage } from './redis-usage.ts';
import { createMessageServer } from './serve-message.ts';

const WARN_EVERY_MS = 10_000;

/** The route and what it needs. Starts without Redis: then this instance counts by itself, for tools that only read, and nothing of persons. */
export async function openMcp({ config, logger, metrics: registry, onClose }: Pick<ServiceContext<Config>, 'config' | 'logger' | 'metrics' | 'onClose'>, now: () => number = Date.now): Promise<RequestHandler> {
  const redis = connectRedis(config.REDIS_URL, { role: 'request', name: 'mcp' });
  onClose(() => closeRedis(redis));
  const metrics = createMcpMetrics(registry);
  let quietUntil = 0;
  const messages = createMessageServer({
    gatewayUrl: config.GATEWAY_URL,
    onError: (error) => logger.debug({ err: error }, 'a message was refused'),
    deps: {
      version: apiVersion, confirmations: createConfirmations({ secret: await readConfirmSecret(config.INTERNAL_KEY_FILE) }), usage: createRedisUsage({ redis, keys: keysFor(config.REDIS_URL), now }),
      localUsage: createMemoryUsage(now), limits: toolLimitsOf(config), timeoutMs: config.MCP_TOOL_TIMEOUT_MS,
      onCalled: (call) => {
        metrics.called(call);
        logger.info({ tool: call.tool, caller: call.caller, outcome: call.outcome, seconds: call.seconds, requestId: call.requestId }, 'tool called');
      },
      onBug: (error, call) => logger.error({ err: error, ...call }, 'a tool failed'),
      onUncounted: (error, tool) => {
        metrics.uncounted(tool);
        if (performance.now() < quietUntil) return;
        quietUntil = performance.now() + WARN_EVERY_MS;
        logger.warn({ err: error }, 'calls of tools are counted by this instance alone, or refused: Redis does not answer');
      },
    },
  });
  onClose(() => messages.close());
  const gatewayTokens = await openIdentityVerifier(config.INTERNAL_JWKS_FILE, GATEWAY);
  return mcpRoutes({ messages, gatewayTokens, origins: config.MCP_ORIGINS, logger });
}
