import { Cluster, Redis as Single } from 'ioredis';
import type { CommonRedisOptions } from 'ioredis';
import { rejectLost, rejectWaiting } from './lifecycle.ts';
import { masterNodes } from './redis.ts';
import type { Redis, SingleRedis } from './redis.ts';
import { parseRedisUrl } from './url.ts';
import type { RedisTarget } from './url.ts';

/**
 * What a connection is for; it decides how the connection behaves while Redis is away.
 * - `request`: a caller is waiting. Fails at once when not connected, after `commandTimeoutMs` without an answer, after one retry.
 * - `once`: as `request`, without the retry: for what the caller can do without.
 * - `blocking`: one reader that blocks (streams, BullMQ workers). Commands wait for ever; a silent socket is replaced after `silentSocketMs`.
 * - `background`: loops with a back-off of their own. Commands wait for a short outage, then reject.
 */
export type RedisRole = 'request' | 'once' | 'blocking' | 'background';

export interface ConnectOptions {
  readonly role: RedisRole;
  /** Seen in CLIENT LIST. */
  readonly name: string;
  /** Told of every connection error (the client reconnects by itself). Without it errors are swallowed: ioredis floods stderr otherwise. */
  readonly onError?: (error: Error) => void;
  /**
   * A socket that owes an answer for so long is replaced. Must be above BLOCK. Default 10 s. For `once`, `blocking` and `background`; for `request`
   * only on a cluster and behind Sentinel, where another server may have taken over.
   */
  readonly silentSocketMs?: number;
  /** A command without an answer fails after so long. Default 500 ms. For `request` and `once`. */
  readonly commandTimeoutMs?: number;
}

/** 50 ms doubling to 2 s, plus up to 50 ms so that a fleet does not return in step. */
const retryDelayMs = (attempt: number): number => Math.min(2_000, 25 * 2 ** Math.min(attempt, 10)) + Math.floor(Math.random() * 50);

/** A replica that was master until a moment ago answers READONLY: reconnect (the address may lead to the new master) and send again. */
const reconnectOnReadonly = (error: Error): false | 2 => (error.message.startsWith('READONLY') ? 2 : false);

type RoleOptions = Omit<CommonRedisOptions, 'replyMapping' | 'enableOfflineQueue' | 'retryStrategy'> & { disconnectTimeout?: number };
interface Role {
  readonly options: RoleOptions;
  readonly queues: boolean;
  /** Attempts to connect after which what waits is rejected; ioredis itself counts them only for a single instance. */
  readonly attempts: number;
  /** Times that a cluster sends a command again: after MOVED and ASK, 100 ms after a lost connection, CLUSTERDOWN, TRYAGAIN. */
  readonly redirections: number;
}

const roles: Readonly<Record<RedisRole, (silentSocketMs: number, commandTimeout: number) => Role>> = {
  request: (_socketTimeout, commandTimeout) => ({ options: { commandTimeout, maxRetriesPerRequest: 1, connectTimeout: 2_000 }, queues: false, attempts: 1, redirections: 5 }),
  once: (socketTimeout, commandTimeout) => ({ options: { commandTimeout, maxRetriesPerRequest: 0, socketTimeout, connectTimeout: 2_000 }, queues: false, attempts: 1, redirections: 5 }),
  blocking: (socketTimeout) => ({ options: { maxRetriesPerRequest: null, socketTimeout }, queues: true, attempts: Infinity, redirections: Infinity }),
  background: (socketTimeout) => ({ options: { maxRetriesPerRequest: 3, socketTimeout, connectTimeout: 5_000 }, queues: true, attempts: 3, redirections: 16 }),
};

/** The pause after an attempt that reached no node or no sentinel; what has waited long enough is rejected. */
const retryAndReject = (redis: () => Redis, { attempts }: Role) => (attempt: number): number => {
  if (attempt % attempts === 0) rejectWaiting(redis(), new Error(`Reached the max retries per request limit (which is ${attempts}): no server could be asked`));
  return retryDelayMs(attempt);
};

/** For what ioredis forgets when it counts the attempts itself: commands that were on their way. */
const retryAndRejectLost = (redis: () => SingleRedis, { attempts }: Role) => (attempt: number): number => {
  if (attempt % (attempts + 1) === 0) rejectLost(redis());
  return retryDelayMs(attempt);
};

type Target<K extends RedisTarget['kind']> = Extract<RedisTarget, { kind: K }>;

function connectCluster({ nodes, tls, login }: Target<'cluster'>, role: Role, options: RoleOptions): Cluster {
  const cluster: Cluster = new Cluster([...nodes], {
    redisOptions: { ...options, ...login, ...(tls ? { tls: {} } : {}) },
    enableOfflineQueue: role.queues,
    maxRedirections: role.redirections,
    clusterRetryStrategy: retryAndReject(() => cluster, role),
    scaleReads: 'master',
    // Without it a client that sends nothing learns of no change, and ids of connections to unblock would grow old.
    slotsRefreshInterval: 5_000,
    slotsRefreshTimeout: 1_000,
    // A slot that wanders about must not be chased without a pause.
    retryDelayOnMoved: role.redirections === Infinity ? 20 : 0,
    // Names are looked up for each connection: one that is unknown (a pod that is away) must not stop the others, and certificates are for names.
    dnsLookup: (host, callback) => callback(null, host),
  });
  if (!role.queues) connectAhead(cluster);
  return cluster;
}

/** ioredis connects to a node with its first command and refuses the next ones meanwhile, where nothing may queue. */
function connectAhead(cluster: Cluster): void {
  const connectTo = (node: SingleRedis): void => {
    if (node.status === 'wait' && node.options.readOnly !== true) node.connect().catch(() => undefined);
  };
  cluster.on('ready', () => masterNodes(cluster).forEach(connectTo));
  cluster.on('+node', (node: SingleRedis) => {
    if (cluster.status === 'ready') connectTo(node);
  });
}

function connectBySentinel({ sentinels, name, db, tls, login, sentinelLogin }: Target<'sentinel'>, role: Role, options: RoleOptions): SingleRedis {
  const redis: SingleRedis = new Single({
    ...options, ...login, db, name, role: 'master',
    sentinels: [...sentinels],
    ...(sentinelLogin.username ? { sentinelUsername: sentinelLogin.username } : {}),
    ...(sentinelLogin.password ? { sentinelPassword: sentinelLogin.password } : {}),
    ...(tls ? { tls: {}, sentinelTLS: {}, enableTLSForSentinelMode: true } : {}),
    enableOfflineQueue: role.queues,
    retryStrategy: retryAndRejectLost(() => redis, role),
    reconnectOnError: reconnectOnReadonly,
    sentinelRetryStrategy: retryAndReject(() => redis, role),
    sentinelCommandTimeout: 2_000,
  });
  return redis;
}

/**
 * Opens a connection that reconnects by itself for ever and never crashes the process by an unheard `error` event: to one server,
 * to a cluster, or to the primary that sentinels name (the forms of the URL: `parseRedisUrl`; a bad one throws here).
 * Returns before it is connected; use `whenReady` where the first command must not fail.
 */
export function connectRedis(url: string, { role: roleName, name, onError = () => undefined, silentSocketMs = 10_000, commandTimeoutMs = 500 }: ConnectOptions): Redis {
  const target = parseRedisUrl(url);
  const role = roles[roleName](silentSocketMs, commandTimeoutMs);
  const options: RoleOptions = {
    ...role.options,
    connectionName: name.replaceAll(/[^\x21-\x7e]/g, '-'),
    // The reply shapes are the same and nothing of RESP3 is used: one round trip less on connecting.
    protocol: 2,
    keepAlive: 10_000,
    // The client's 2 s keep the process alive after a disconnect() between two attempts.
    disconnectTimeout: 100,
  };
  if (target.kind === 'single') {
    const redis: SingleRedis = new Single(target.url, { ...options, enableOfflineQueue: role.queues, retryStrategy: retryAndRejectLost(() => redis, role), reconnectOnError: reconnectOnReadonly });
    return redis.on('error', onError);
  }
  const watched = { ...options, socketTimeout: silentSocketMs };
  if (target.kind === 'sentinel') return connectBySentinel(target, role, watched).on('error', onError);
  const cluster = connectCluster(target, role, watched).on('error', onError);
  return cluster.on('node error', (error: Error, node: string) => onError(new Error(`Redis node ${node}: ${error.message}`)));
}
