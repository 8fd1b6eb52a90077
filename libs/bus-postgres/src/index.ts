import { createEngineBus } from '@millrace/bus/engine';
import type { Engine, EngineBus, BusOptions } from '@millrace/bus/engine';
import { silentLogger } from '@millrace/bus';
import { createAppender } from './appender.ts';
import { createClient } from './client.ts';
import { createPostgresLetters } from './letters.ts';
import { createOwnerMethods } from './owner.ts';
import { createPostgresGroupLog, createPostgresLeases } from './postgres-group-log.ts';
import { numberOf, plain, toText } from './rows.ts';
import { openPostgresTail } from './tail.ts';
import { createTopicWatcher } from './watcher.ts';

export interface PostgresBusOptions extends BusOptions {
  /** `postgres://role:password@host/database?schema=millrace_bus`. */
  readonly url: string;
  /** Connections besides the one that listens. Default 4. */
  readonly poolSize?: number;
  /** How often to look for new entries where LISTEN does not come through. Default 100. */
  readonly pollMs?: number;
}

const PING_MS = 1_000;

/**
 * The bus over tables of a Postgres 14 or later, such as a Supabase project's: events, a cursor a group, deliveries that are leased with SKIP LOCKED. Makes its schema at the
 * first use. Every step is one transaction, so BUS_URL may lead through a pooler in transaction mode; LISTEN does not then, and the bus looks for new entries instead.
 */
export function createPostgresBus({ url, poolSize = 4, pollMs = 100, ...options }: PostgresBusOptions): EngineBus {
  const logger = options.logger ?? silentLogger;
  const client = createClient(url, { max: poolSize, logger });
  const { run, schema } = client;
  const watcher = createTopicWatcher({ client, pollMs, logger, metrics: options.metrics });
  const appendRaw = async (topic: string, key: string, fields: readonly string[]): Promise<void> => {
    const [row] = await run(`select ${schema}.append($1, $2, $3, $4, 0) as id`, [topic, [plain(key)], [JSON.stringify(fields)], ['']]);
    watcher.published(topic, numberOf(toText(row?.['id'])));
  };
  const engine: Engine = {
    features: { engine: 'postgres', partitions: false, ownAtRestart: true, atomicPark: true, atomicContext: false, memoryPressure: false },
    broker: 'Postgres',
    append: createAppender({ client, watcher, logger, metrics: options.metrics }),
    async register(topic, group, canBootstrap) {
      const [row] = await run(`select ${schema}.register_group($1, $2, $3) as is_new`, [topic.name, group, canBootstrap]);
      return row?.['is_new'] === true;
    },
    openLog: (of) => createPostgresGroupLog(client, watcher, of),
    openLeases: (of) => createPostgresLeases(client, of),
    openTail: (topic) => openPostgresTail(client, watcher, topic),
    ...createOwnerMethods(client),
    letters: createPostgresLetters(client, appendRaw),
    async ping() {
      const late = Promise.withResolvers<never>();
      const timer = setTimeout(() => late.reject(new Error(`Postgres did not answer within ${PING_MS} ms`)), PING_MS);
      await Promise.race([run('select 1', []), late.promise]).finally(() => clearTimeout(timer));
    },
    async close() {
      await watcher.close();
      await client.close();
    },
  };
  return createEngineBus(engine, options);
}
