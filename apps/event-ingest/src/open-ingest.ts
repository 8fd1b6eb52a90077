import { parsePartitions } from '@millrace/bus';
import type { ManagedBus } from '@millrace/bus';
import { createContextWriter, createPublishedContextWriter } from '@millrace/context';
import type { ContextWriter } from '@millrace/context';
import { interactions } from '@millrace/contracts';
import { createPool } from '@millrace/database';
import { closeRedis, connectRedis, keysFor, whenReady } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';
import type { ServiceContext } from '@millrace/service';
import { createAcknowledged } from './acknowledged.ts';
import { collectWrites } from './collect.ts';
import type { Config } from './config.ts';
import { startDeferredRelay } from './deferred-relay.ts';
import { createDoor } from './door.ts';
import type { Door } from './door.ts';
import type { ErasedUsers } from './erased-users.ts';
import type { InteractionStore } from './interaction.repository.ts';
import type { ItemCache } from './item-cache.ts';
import { keepDurable } from './keep-durable.ts';
import { createLiveWriter } from './live-writer.ts';
import { watchMemoryRoom } from './memory-room.ts';
import { startRetransmission } from './retransmit.ts';

export interface Ingest {
  readonly door: Door;
  readonly context: ContextWriter;
  /** Fails fast while Redis is away. */
  readonly redis: Redis;
}

export interface IngestDeps extends Pick<ServiceContext<Config>, 'config' | 'logger' | 'metrics' | 'onClose'> {
  /** Where events go, if not to Redis. */
  readonly bus?: Pick<ManagedBus, 'durable' | 'publish'>;
  readonly store: Pick<InteractionStore, 'insert' | 'insertDeferred'>;
  readonly items: Pick<ItemCache, 'find'>;
  readonly erased: ErasedUsers;
}

const READY_MS = 2_000;
const COMMAND_GRACE_MS = 500;

/** The way in: Redis behind a timeout and a breaker, Postgres behind that, the relay of what Redis missed, and the repetition of what it may have lost. */
export async function openIngest({ config, bus, logger, metrics, onClose, store, items, erased }: IngestDeps): Promise<Ingest> {
  const stopping = new AbortController();
  const timeoutMs = bus?.durable ? config.EVENT_BUS_TIMEOUT_MS : config.EVENT_REDIS_TIMEOUT_MS;
  // Whether an answer is late, the writer decides.
  const redis = connectRedis(config.REDIS_URL, { role: 'request', name: 'event-ingest:door', commandTimeoutMs: timeoutMs + COMMAND_GRACE_MS });
  onClose(() => closeRedis(redis));
  // Without Redis the service starts all the same.
  await whenReady(redis, READY_MS).catch(() => undefined);
  const room = watchMemoryRoom(redis);
  onClose(() => room.close());
  const acknowledged = createAcknowledged();
  let onLost = (): void => undefined;
  const shared = { redis, keys: keysFor(config.REDIS_URL), ttlSeconds: config.CONTEXT_TTL_SECONDS, erased };
  const published = bus?.durable && createPublishedContextWriter({ ...shared, bus });
  // So that the first event does not pay for the connection.
  await bus?.durable?.lastNumber(interactions).catch(() => undefined);
  const context = published ?? createContextWriter({ ...shared, partitions: parsePartitions(config.BUS_PARTITIONS)[interactions.name], onLost: () => onLost() });
  onClose(() => stopping.abort());
  const retransmission = await startRetransmission({ redis, context: published?.restore ?? context, acknowledged, signal: stopping.signal, metrics, logger });
  onLost = () => retransmission.lost();

  const relayPool = createPool({ url: config.EVENT_INGEST_DATABASE_URL, name: 'event-ingest-relay', max: 1, logger });
  onClose(() => relayPool.end());
  const relay = startDeferredRelay({ pool: relayPool, context, acknowledged, isOpen: () => redis.status === 'ready' && room.hasRoomForMore(), metrics, logger });
  onClose(() => relay.close());

  const live = collectWrites(createLiveWriter({ context, acknowledged, timeoutMs, hasRoom: () => room.hasRoom(), metrics }));
  const keep = config.EVENT_DURABILITY === 'always' ? keepDurable(store) : undefined;
  return { door: createDoor({ live, defer: (events) => store.insertDeferred(events), keep, items, erased, metrics, logger }), context, redis };
}
