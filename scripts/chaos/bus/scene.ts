import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRedisStreamsBus } from '@millrace/bus';
import type { BusLogger, RedisStreamsBus } from '@millrace/bus';
import { createOutboxWaker, createRelay, outboxChannel } from '@millrace/outbox';
import { closeRedis, connectRedis, whenReady } from '@millrace/redis-kit';
import type { Redis, RedisRole } from '@millrace/redis-kit';
import { startRedisServer } from '@millrace/testing/redis-server';
import type { RedisServer } from '@millrace/testing/redis-server';
import { z } from 'zod';
import { changesTopic } from './consumer-settings.ts';
import { startCrew } from './crew.ts';
import type { Crew } from './crew.ts';
import type { Plan } from './plan.ts';
import { createTruth, startWriting } from './truth.ts';
import type { Truth, Writing } from './truth.ts';

const CONSUMERS = 4;
/** How much of their time the consumers work: enough for a random moment to find them at it, little enough that they catch up. */
const UTILISATION = 0.4;
const TRIM_EVERY_MS = 1_000;
const KEPT = 1_000;

const logLineSchema = z.looseObject({ level: z.string(), message: z.string(), entries: z.number().optional(), events: z.number().optional() });
export type LogLine = z.output<typeof logLineSchema>;

/** Everything that runs while things are killed. */
export interface Scene {
  readonly topic: ReturnType<typeof changesTopic>;
  readonly truth: Truth;
  readonly writing: Writing;
  readonly server: RedisServer;
  readonly crew: Crew;
  readonly bus: RedisStreamsBus;
  readonly redis: Redis;
  readonly logFile: string;
  /** What the consumers and the relay have logged so far. */
  readonly log: () => readonly LogLine[];
  close(options: { readonly keepLog: boolean }): Promise<void>;
}

export async function openScene(plan: Plan, name: string): Promise<Scene> {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-chaos-'));
  const logFile = join(folder, 'log.jsonl');
  const databaseUrl = process.env['TEST_DATABASE_URL'] ?? '';
  const topic = changesTopic(name);
  const partitions = { [topic.name]: plan.partitions };
  const truth = await createTruth(databaseUrl, name);
  // As infra/redis-bus.conf has it.
  const server = await startRedisServer(['--appendonly', 'yes', '--appendfsync', 'everysec', '--maxmemory-policy', 'noeviction']);
  const connect = (role: RedisRole): Redis => connectRedis(server.url, { role, name: 'chaos' });
  const logger = createFileLogger(logFile);
  const relay = createRelay({ pool: truth.pool, directUrl: databaseUrl, connect: () => connect('background'), schema: truth.schema, topics: [topic], partitions, logger });
  const waker = createOutboxWaker(truth.pool, { channel: outboxChannel(truth.schema) });
  const bus = createRedisStreamsBus({ connect, partitions, logger });
  const redis = connect('background');
  await whenReady(redis);
  const crew = startCrew(Array.from({ length: CONSUMERS }, (_consumer, index) => `consumer-${index + 1}`), {
    redisUrl: server.url, databaseUrl, schema: truth.schema, topic: topic.name, ordering: plan.ordering, partitions: plan.partitions,
    claimIdleMs: 1_000, leaseMs: 2_000, workMs: (UTILISATION * CONSUMERS * 1_000) / plan.rate, logFile,
  });
  // As the topic's owner does it; while Redis is away there is nothing to trim.
  const trimming = setInterval(() => void bus.trimAcknowledged(topic, { keep: KEPT }).catch(() => undefined), TRIM_EVERY_MS);
  const writing = startWriting(truth, { topic: topic.name, messages: plan.messages, rate: plan.rate, onCommit: () => waker.wake() });
  return {
    topic, truth, writing, server, crew, bus, redis, logFile,
    log: () => readFileSync(logFile, 'utf8').split('\n').flatMap(parseLine),
    async close({ keepLog }) {
      clearInterval(trimming);
      await writing.stop();
      await crew.close();
      await relay.close();
      await bus.close();
      await closeRedis(redis);
      await server.stop();
      await truth.drop();
      if (!keepLog) rmSync(folder, { recursive: true, force: true });
    },
  };
}

function createFileLogger(file: string): BusLogger {
  appendFileSync(file, '');
  const at = (level: string) => (fields: object, message: string): void => appendFileSync(file, `${JSON.stringify({ time: Date.now(), level, message, ...fields })}\n`);
  return { info: at('info'), warn: at('warn'), error: at('error') };
}

/** What the processes write on stderr is no JSON. */
function parseLine(line: string): readonly LogLine[] {
  if (!line.startsWith('{')) return line === '' ? [] : [{ level: 'stderr', message: line }];
  try {
    return [logLineSchema.parse(JSON.parse(line))];
  } catch {
    return [{ level: 'stderr', message: line }];
  }
}
