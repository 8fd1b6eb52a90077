import { Router } from 'express';
import type { Registry } from 'prom-client';
import type { z } from 'zod';
import { ConfigError, loadConfig } from './config.ts';
import { createHealth } from './health.ts';
import type { Health } from './health.ts';
import { createLogger } from './logger.ts';
import type { Logger } from './logger.ts';
import { createMetrics } from './metrics.ts';
import { startOpsServer } from './ops-server.ts';
import type { serviceVariables } from './variables.ts';

type CommonConfig = z.output<z.ZodObject<typeof serviceVariables>>;

export interface ServiceContext<C> {
  readonly config: C;
  readonly logger: Logger;
  readonly metrics: Registry;
  readonly health: Health;
  /** Routes under /internal of the second port. */
  readonly internal: Router;
  /** Steps run in reverse order on SIGTERM, SIGINT and a failed start. */
  readonly onClose: (step: () => unknown) => void;
}

export interface ServiceDefinition<S extends z.ZodType<CommonConfig>> {
  readonly name: string;
  readonly configSchema: S;
  start(context: ServiceContext<z.output<S>>): Promise<void>;
}

const CLOSE_TIMEOUT_MS = 8_000;

/**
 * Runs one service until SIGTERM or SIGINT. Exit codes: 0 stopped, 1 failed, 2 bad configuration (restarting does not help).
 * /healthz answers from the first moment, /readyz is red until `start` resolved.
 */
export async function runService<S extends z.ZodType<CommonConfig>>(definition: ServiceDefinition<S>): Promise<void> {
  const config = readConfig(definition);
  const logger = createLogger(definition.name, config.LOG_LEVEL);
  const metrics = createMetrics(definition.name);
  const health = createHealth();
  const internal = Router();
  const closing: (() => unknown)[] = [];
  let stopping: Promise<void> | undefined;
  const stop = (reason: string, code: number): Promise<void> => (stopping ??= shutDown({ reason, code, logger, health, closing }));

  process.once('SIGTERM', () => void stop('SIGTERM', 0));
  process.once('SIGINT', () => void stop('SIGINT', 0));
  process.on('uncaughtException', (error) => {
    logger.error({ err: error }, 'uncaught exception');
    void stop('uncaught exception', 1);
  });
  try {
    const ops = await startOpsServer({ host: config.INTERNAL_HOST, port: config.INTERNAL_PORT, metrics, health, internal, logger });
    closing.push(() => ops.close());
    await definition.start({ config, logger, metrics, health, internal, onClose: (step) => void closing.push(step) });
    health.started();
    logger.info({ internalPort: ops.port, startMs: Math.round(performance.now()) }, 'started');
  } catch (error) {
    logger.error({ err: error }, 'start failed');
    await stop('start failed', 1);
  }
}

function readConfig<S extends z.ZodType<CommonConfig>>({ name, configSchema }: ServiceDefinition<S>): z.output<S> {
  try {
    return loadConfig(configSchema, process.env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${name}: ${error.message}\n`);
    return process.exit(2);
  }
}

interface ShutDown {
  readonly reason: string;
  readonly code: number;
  readonly logger: Logger;
  readonly health: Health;
  readonly closing: (() => unknown)[];
}

async function shutDown({ reason, code, logger, health, closing }: ShutDown): Promise<void> {
  health.drain();
  logger.info({ reason }, 'stopping');
  const giveUp = setTimeout(() => {
    logger.error({ closeTimeoutMs: CLOSE_TIMEOUT_MS }, 'close steps did not finish');
    process.exit(1);
  }, CLOSE_TIMEOUT_MS);
  for (const step of closing.toReversed()) {
    try {
      await step();
    } catch (error) {
      logger.warn({ err: error }, 'close step failed');
    }
  }
  clearTimeout(giveUp);
  logger.info({ reason }, 'stopped');
  process.exit(code);
}
