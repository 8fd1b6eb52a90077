import { backoffMs, createSignal, describeError, pause, silentLogger } from '@millrace/bus';
import type { BusLogger, DurablePublisher, Signal, Topic } from '@millrace/bus';
import { closeRedis, createKeys, whenReady } from '@millrace/redis-kit';
import type { Keys, Redis } from '@millrace/redis-kit';
import type { Pool } from 'pg';
import type { Registry } from 'prom-client';
import { RedisTimeoutError } from './append.ts';
import { acquireLeadership } from './leadership.ts';
import type { Leadership } from './leadership.ts';
import { createRelayMetrics } from './metrics.ts';
import type { RelayMetrics } from './metrics.ts';
import { maintainPartitions } from './partitions.ts';
import { checkStream, publishBatches, StreamLostError, SupersededError } from './publish.ts';
import type { PublishDeps } from './publish.ts';
import { checkDraining, establishTopic } from './relay-topic.ts';
import type { RelayTopic } from './relay-topic.ts';
import { createBatchSize } from './batch-size.ts';
import type { BatchSize } from './batch-size.ts';
import { createStatements } from './statements.ts';
import type { Statements } from './statements.ts';
import { outboxChannel } from './waker.ts';

export interface RelayOptions {
  /** For the claims; may lead through a pooler. */
  readonly pool: Pool;
  /** Connection string of the server itself, for the advisory lock and LISTEN. */
  readonly directUrl: string;
  /** A new connection of redis-kit's role 'background'. The relay replaces it when an answer does not come. Not used with `durable`. */
  readonly connect: () => Redis;
  /** The broker, where the bus is not on Redis: `bus.durable`. */
  readonly durable?: (DurablePublisher & { readonly engine: string }) | undefined;
  readonly schema: string;
  /** Rows of other streams stay in the outbox. */
  readonly topics: readonly Topic[];
  readonly channel?: string;
  readonly keys?: Keys;
  /** Partitions by topic, as configured: with another number in Redis nothing is published. Default: whatever a topic has; one for a new one. */
  readonly partitions?: Readonly<Record<string, number>>;
  readonly pollMs?: number;
  /** How long a claim's transaction may wait for Redis. */
  readonly appendTimeoutMs?: number;
  /** How often the streams are compared with what was committed, also while nothing is written. */
  readonly checkMs?: number;
  /** Who leads and got no further for so long lets another one try: it may reach the Redis that this process does not. */
  readonly handOverMs?: number;
  /** Writes a heartbeat through the outbox so often; off by default. */
  readonly heartbeatMs?: number;
  readonly logger?: BusLogger;
  readonly metrics?: Registry;
}

export interface Relay {
  isLeading(): boolean;
  /** Finishes the batch in hand and gives up the lock, so that a standby takes over at once. */
  close(): Promise<void>;
}

interface RelayState {
  readonly options: Required<Omit<RelayOptions, 'metrics' | 'durable'>> & Pick<RelayOptions, 'durable'>;
  readonly metrics: RelayMetrics;
  readonly statements: Statements;
  readonly stop: AbortSignal;
  readonly wake: Signal;
  readonly topics: readonly RelayTopic[];
  readonly batchSize: BatchSize;
  leadership: Leadership | undefined;
  redis: Redis | undefined;
  /** When the next periodic work is due, by performance.now(). */
  readonly due: { check: number; backlog: number; partitions: number; heartbeat: number };
}

const STATS_MS = 5_000;
const PARTITIONS_MS = 300_000;
/** Some times as long as a standby waits between two attempts. */
const STAND_BACK_MS = 1_000;

/**
 * Carries the outbox of a schema to its streams (ARCHITECTURE, flow 1 and invariant I2): nothing committed is lost, the order of a key is
 * kept, entries may be repeated. One relay of a schema is active, the others stand by and take over when its connection goes.
 * Starts at once and needs neither server to be there yet.
 */
export function createRelay(given: RelayOptions): Relay {
  const options = {
    channel: outboxChannel(given.schema), keys: createKeys(), partitions: {}, pollMs: 100, appendTimeoutMs: 2_000, checkMs: 1_000, handOverMs: 15_000, heartbeatMs: 0, logger: silentLogger, durable: undefined, ...given,
  };
  const stopping = new AbortController();
  const state: RelayState = {
    options,
    metrics: createRelayMetrics(given.metrics, given.schema),
    statements: createStatements(given.schema),
    stop: stopping.signal,
    wake: createSignal(),
    topics: given.topics.map((topic) => ({ topic, durable: options.durable, partitions: options.partitions[topic.name], streams: [], draining: [] })),
    batchSize: createBatchSize(),
    leadership: undefined,
    redis: undefined,
    due: { check: 0, backlog: 0, partitions: 0, heartbeat: 0 },
  };
  const running = run(state);
  return {
    isLeading: () => state.leadership?.isHeld() ?? false,
    async close() {
      stopping.abort();
      state.wake.notify();
      await running;
      if (state.redis) await closeRedis(state.redis);
    },
  };
}

async function run(state: RelayState): Promise<void> {
  const { options, stop, wake } = state;
  for (let failures = 0; !stop.aborted; ) {
    try {
      state.leadership = await acquireLeadership({ directUrl: options.directUrl, lockName: options.schema, channel: options.channel, onNotify: () => wake.notify() }, stop);
      failures = 0;
    } catch (error) {
      failures += 1;
      if (failures === 1 || failures % 20 === 0) options.logger.warn({ schema: options.schema, failures, error: describeError(error) }, 'outbox relay cannot reach the database');
      await pause(backoffMs(failures), stop);
      continue;
    }
    if (!state.leadership) return;
    state.metrics.leading(true);
    options.logger.info({ schema: options.schema }, 'outbox relay is active');
    const isStuck = await lead(state, state.leadership);
    state.metrics.leading(false);
    await state.leadership.release();
    if (stop.aborted) return;
    options.logger.warn({ schema: options.schema }, 'outbox relay is no longer active');
    // A standby comes first.
    if (isStuck) await pause(STAND_BACK_MS, stop);
  }
}

/** Until the leadership is gone or the relay is closed, or, then true, nothing worked for `handOverMs`. */
async function lead(state: RelayState, leadership: Leadership): Promise<boolean> {
  const { options, stop, wake } = state;
  for (const topic of state.topics) topic.streams = [];
  Object.assign(state.due, { check: 0, backlog: 0, partitions: 0, heartbeat: performance.now() + options.heartbeatMs });
  let workedAt = performance.now();
  for (let failures = 0; leadership.isHeld() && !stop.aborted; ) {
    try {
      const isMore = await round(state, leadership);
      failures = 0;
      workedAt = performance.now();
      if (!isMore) await wake.wait(options.pollMs);
    } catch (error) {
      if (error instanceof SupersededError) return false;
      failures += 1;
      // Established again at once; not for ever, should two schemas be made to write to one stream.
      if (error instanceof StreamLostError && failures <= 3) continue;
      if (error instanceof RedisTimeoutError) {
        state.batchSize.tooSlow();
        await replaceRedis(state);
      }
      if (failures === 1 || failures % 20 === 0) options.logger.warn({ schema: options.schema, failures, error: describeError(error) }, 'outbox relay is waiting');
      if (performance.now() - workedAt >= options.handOverMs) return true;
      await pause(backoffMs(failures), stop);
      await leadership.check();
    }
  }
  return false;
}

/** What is due, then batches for up to `checkMs`. Tells whether more may be waiting. */
async function round(state: RelayState, leadership: Leadership): Promise<boolean> {
  const { options, topics, due } = state;
  const deps: PublishDeps = {
    pool: options.pool, redis: options.durable ? undefined : await readyRedis(state), statements: state.statements, appendTimeoutMs: options.appendTimeoutMs, batchSize: state.batchSize,
    logger: options.logger, metrics: state.metrics, isLeading: () => leadership.isHeld(),
  };
  const now = performance.now();
  if (now >= due.partitions) {
    await maintainPartitions(options.pool, state.statements, { logger: options.logger });
    due.partitions = now + PARTITIONS_MS;
  }
  for (const topic of topics) if (topic.streams.length === 0 || topic.streams.some(({ fence }) => !fence)) await establishTopic(deps, options.keys, topic);
  const streams = topics.flatMap((topic) => topic.streams);
  if (now >= due.check) {
    await Promise.all([leadership.check(), ...streams.map((stream) => checkStream(deps, stream)), ...topics.map((topic) => loseWith(topic, checkDraining(deps, topic)))]);
    due.check = now + options.checkMs;
  }
  if (options.heartbeatMs > 0 && now >= due.heartbeat) {
    for (const { topic } of topics) await options.pool.query(state.statements.heartbeat, [topic.name]);
    due.heartbeat = now + options.heartbeatMs;
  }
  if (now >= due.backlog) {
    const backlog = (await options.pool.query<{ events: number; age_seconds: number }>(state.statements.backlog, [topics.map(({ topic }) => topic.name)])).rows[0];
    if (backlog) state.metrics.backlog(backlog.events, backlog.age_seconds);
    due.backlog = now + STATS_MS;
  }
  return publishBatches(deps, streams, () => leadership.isHeld() && !state.stop.aborted && performance.now() < due.check);
}

/** What a draining partition has lost is seen to when its topic is established again. */
async function loseWith(topic: RelayTopic, check: Promise<void>): Promise<void> {
  try {
    await check;
  } catch (error) {
    if (error instanceof StreamLostError) topic.streams = [];
    throw error;
  }
}

/** Connected, so that no transaction waits for a connection; after a reconnect the streams are compared at once. */
async function readyRedis(state: RelayState): Promise<Redis> {
  if (!state.redis) {
    state.redis = state.options.connect();
    state.redis.on('ready', () => {
      state.due.check = 0;
      state.wake.notify();
    });
  }
  await whenReady(state.redis, 1_000);
  return state.redis;
}

/** An unanswered append must not be sent again by the client when the server comes back. */
async function replaceRedis(state: RelayState): Promise<void> {
  const { redis } = state;
  state.redis = undefined;
  if (redis) await closeRedis(redis, 0);
}
