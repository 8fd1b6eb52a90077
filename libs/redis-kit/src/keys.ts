import type { LeaseKeys } from './lease.ts';
import { isClusterUrl } from './url.ts';

/**
 * The one place where names of Redis keys are made (ARCHITECTURE, "Redis, three roles, and keys"). On a single instance the
 * stream of a topic with one partition is its bare name; with `cluster`, or with partitions, every name carries the hash tag
 * that keeps the keys of one script together.
 */
export interface KeyOptions {
  readonly cluster?: boolean;
}

/** A topic's stream and its side keys: they all begin with the stream's name, so that one script may touch them on Cluster too. */
export interface TopicKeys {
  readonly stream: string;
  /** The relay's fence: an append is refused unless it holds the expected epoch. */
  readonly epoch: string;
  /** Dead letters of one group. */
  deadLetters(group: string): string;
  /** Hash of entry id -> when it was first handled by itself, for entries that failed. */
  attempts(group: string): string;
  /** Marker: the group's consumers have read the export since the group was created. */
  bootstrapped(group: string): string;
  /** Lock of the consumer that is reading the export. */
  bootstrapping(group: string): string;
  /** Sorted set of entries that are to be tried again: member -> when. */
  delayed(group: string): string;
  /** Who may read this partition for the group, and until when. */
  lease(group: string): string;
  /** Number that grows with every holder of the lease: a write of an older holder is refused. */
  fence(group: string): string;
  /** Members of the group, among whom the partitions are divided. */
  members(group: string): string;
  /** How far the groups have come. */
  readonly progress: string;
  /** Id of the layout (see libs/bus) whose publishers may append to this partition; "closed" where nothing may be appended any more. */
  readonly layout: string;
  /** Ids of the events that were appended last, to drop one that is sent twice. */
  readonly recentIds: string;
  /** How many erasures of users whoever appends must know of. */
  readonly erased: string;
}

export interface UserKeys {
  readonly recentItems: string;
  readonly recentCategories: string;
  readonly lastActive: string;
  readonly recentPurchases: string;
  /** The id that this one was merged into. */
  readonly mergedInto: string;
}

export interface AnalyticsKeys {
  /** Stream id of the last event that is counted. */
  readonly applied: string;
  /** What is being counted now: hash of counts, and `id`. */
  readonly pending: string;
  /** What is on its way to Postgres: the same, and `sealed_at`. Nothing is added to it. */
  readonly sealed: string;
  /** HyperLogLog of the users of a UTC day (YYYY-MM-DD). */
  users(day: string): string;
}

/** Names of one complete set of subscribers (`<gen>`: the number that the pointer calls `redis`), or of the layout without a number. */
export interface SubscriberKeys {
  /** Hash of the columns of a recommendation. */
  recommendation(isdn: string): string;
  /** Hash of JSON fields. */
  profile(isdn: string): string;
  /** Pre-encoded answer. */
  body(isdn: string): string;
  /** Marker, for a short time: Postgres does not know this subscriber either. */
  absent(isdn: string): string;
  /** Sorted set of subscribers by priority. */
  service(type: string): string;
  /** Set of subscribers. */
  risk(level: string): string;
  /** Set of subscribers. */
  cluster(group: string): string;
  /** Hash of counts. */
  readonly stats: string;
  /** Finds every one of them with SCAN (and, without a number, nothing else). */
  readonly pattern: string;
}

/** Keys of one part of the response cache: they share a hash tag on Cluster, so one script may touch them. */
export interface CacheKeys {
  /** Hash: the purge clock, and for each purged tag the clock's value then. */
  readonly clock: string;
  /** Hash of one stored answer. */
  entry(id: string): string;
  /** Who is asking the origin for that answer. */
  lock(id: string): string;
}

/** State of rate limits; `refill` limits by GCRA, the other two by fixed windows. */
export interface RateLimitKeys {
  /** Of one limit of a key or workspace. They share its hash tag everywhere: one script may touch all limits of a call. */
  refill(owner: string, limit: string): string;
  chat(userId: string): string;
  mcp(connection: string): string;
  /** Sorted set of the gateways that run: id -> last heartbeat. */
  readonly instances: string;
}

/** Calls of one tool by one caller, in one minute and on one day (UTC). One hash tag for both, everywhere: one script touches them. */
export interface ToolCallKeys {
  minute(number: number): string;
  day(number: number): string;
}

/** Of one owner; `owner` is a digest, so that no name of a shopper stands in a key. */
export interface SessionKeys {
  /** Hash. */
  session(id: string): string;
  /** List of JSON texts. */
  messages(id: string): string;
  /** Sorted set of ids by when they end, in milliseconds. */
  readonly list: string;
}

export interface Keys {
  /** The part of the response cache that has the answer with this id. */
  cache(id: string): CacheKeys;
  /** All parts of the response cache: one on a single instance, 16 on Cluster. */
  readonly cacheParts: readonly CacheKeys[];
  /**
   * Keys of one partition. The bare name is only for the one partition of a topic on a single instance: where there are more,
   * or on Cluster, each one (0 too) is `<topic>:{<topic>:<partition>}`, so a topic that is given partitions begins new streams.
   */
  topic(topic: string, partition?: number, partitions?: number): TopicKeys;
  /** Number of partitions; read by itself, never in a script together with the stream. */
  topicMeta(topic: string): string;
  user(id: string): UserKeys;
  /** Sync tracker of a search index: hash sku -> version. */
  syncTracker(index: string): string;
  /** How fresh a derived store is, as its sink says: hash. */
  freshness(store: string): string;
  /** Beginning of the keys of one partition's recommendation counts; with its hash tag everywhere, so that the counts of partitions never meet in one script. */
  counts(partition: number): string;
  /** Set of the partitions that have counts; read by itself. */
  readonly countPartitions: string;
  /** Counts by time of what one partition of a topic brought, since the last roll-up. One hash tag for all of a partition's keys, everywhere. */
  analytics(topic: string, partition: number): AnalyticsKeys;
  /** Set of `<topic>:<partition>` that have such counts; read by itself. */
  readonly analyticsSources: string;
  /** Keys of a generation of subscribers; without a number those of readers that know of no generations. */
  subscribers(generation?: number): SubscriberKeys;
  /** Which generation of subscribers is live. On Cluster each of the 1,024 buckets has a copy, so that one script or MGET may touch it with the keys of a subscriber of that bucket. */
  subscriberPointer(isdn: string): string;
  /** All copies of the pointer. */
  readonly subscriberPointers: readonly string[];
  /** The bucket of a subscriber: what has the same one is on the same node. Always 0 on a single instance. */
  subscriberBucket(isdn: string): number;
  /** A lease that one process of all has; with its hash tag everywhere. */
  lease(name: string): LeaseKeys;
  readonly rateLimits: RateLimitKeys;
  /** What is known of one Idempotency-Key of one caller; `digest` is a hash of both. */
  idempotency(digest: string): string;
  /** Conversations: hash of one, and the sorted set of those of one owner, by when they end. One hash tag for an owner, everywhere. */
  sessions(owner: string): SessionKeys;
  /** Counts of the MCP server's tools; `caller` is a digest. */
  toolCalls(caller: string, tool: string): ToolCallKeys;
  /** Marker: this confirmation of a tool's change has been used. */
  toolConfirmation(id: string): string;
  /** Access token of a point of sale, sealed; `hash` tells one secret of the client from the next. */
  posToken(clientId: string, hash: string): string;
  /** Calls of the last hour to one shop's point of sale, and what was learned of its limit: hash. */
  posBudget(retailer: string): string;
  /** The same of one caller, `caller` is a digest: hash. Where `posBudget` is, on Cluster too: one script counts in both. */
  posBudgetOf(retailer: string, caller: string): string;
  /** An answer of the point of sale (cache Redis); `endpoint` is of a fixed list, `hash` of the parameters. */
  posCache(endpoint: string, hash: string): string;
  /** What every kept answer of that endpoint must carry; another value makes them all stale at once (cache Redis). */
  posCacheEpoch(endpoint: string): string;
  /** BullMQ's `prefix` option. */
  readonly jobsPrefix: string;
}

const topicKeys = (stream: string): TopicKeys => ({
  stream,
  epoch: `${stream}:epoch`,
  deadLetters: (group) => `${stream}:dlq:${group}`,
  attempts: (group) => `${stream}:attempts:${group}`,
  bootstrapped: (group) => `${stream}:bootstrapped:${group}`,
  bootstrapping: (group) => `${stream}:bootstrapping:${group}`,
  delayed: (group) => `${stream}:delayed:${group}`,
  lease: (group) => `${stream}:lease:${group}`,
  fence: (group) => `${stream}:fence:${group}`,
  members: (group) => `${stream}:members:${group}`,
  progress: `${stream}:progress`,
  layout: `${stream}:layout`,
  recentIds: `${stream}:ids`,
  erased: `${stream}:erased`,
});

const BUCKETS = 1_024;

/** FNV-1a (Fowler, Noll, Vo; 32 bits) of the character codes: the same bucket on every machine. */
function bucketOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return (hash >>> 0) % BUCKETS;
}

function subscriberKeys(cluster: boolean, generation: number | undefined): SubscriberKeys {
  const prefix = generation === undefined ? 'ut360' : `ut360:${generation}`;
  const of = cluster ? (name: string, rest: string): string => `${prefix}:{b${bucketOf(name)}}:${rest}` : (_name: string, rest: string): string => `${prefix}:${rest}`;
  return {
    recommendation: (isdn) => of(isdn, `rec:${isdn}`),
    profile: (isdn) => of(isdn, `profile:${isdn}`),
    body: (isdn) => of(isdn, `body:${isdn}`),
    absent: (isdn) => of(isdn, `absent:${isdn}`),
    service: (type) => of(`service:${type}`, `idx:service:${type}`),
    risk: (level) => of(`risk:${level}`, `idx:risk:${level}`),
    cluster: (group) => of(`cluster:${group}`, `idx:cluster:${group}`),
    stats: of('stats', 'meta:stats'),
    pattern: generation !== undefined ? `${prefix}:*` : cluster ? 'ut360:{b*' : 'ut360:[ripm]*',
  };
}

const CACHE_PARTS = 16;

const cacheKeys = (prefix: string): CacheKeys => ({ clock: `${prefix}:clock`, entry: (id) => `${prefix}:entry:${id}`, lock: (id) => `${prefix}:lock:${id}` });

/** An empty tag is none: the keys of such an id would lie on several nodes. No id begins with a space. */
const tagOf = (id: string): string => (id.startsWith('}') ? ` ${id}` : id);

const rateLimits: RateLimitKeys = {
  refill: (owner, limit) => `rate_limit:{${tagOf(owner)}}:${limit}`,
  chat: (userId) => `rate_limit:chat:${userId}`,
  mcp: (connection) => `rate_limit:mcp:${connection}`,
  instances: 'rate_limit:instances',
};

export function createKeys({ cluster = false }: KeyOptions = {}): Keys {
  const cacheParts = cluster ? Array.from({ length: CACHE_PARTS }, (_none, part) => cacheKeys(`cache:{c${part}}`)) : [cacheKeys('cache')];
  const [onlyPart = cacheKeys('cache')] = cacheParts;
  return {
    cache: (id) => (cluster ? (cacheParts[bucketOf(id) % CACHE_PARTS] ?? onlyPart) : onlyPart),
    cacheParts,
    topic(topic, partition = 0, partitions = 1) {
      const isTagged = cluster || partition > 0 || partitions > 1;
      return topicKeys(isTagged ? `${topic}:{${topic}:${partition}}` : topic);
    },
    topicMeta: (topic) => `${topic}:meta`,
    user(id) {
      const prefix = cluster ? `user:{${tagOf(id)}}` : `user:${id}`;
      return {
        recentItems: `${prefix}:recent_items`, recentCategories: `${prefix}:recent_categories`, lastActive: `${prefix}:last_active`,
        recentPurchases: `${prefix}:recent_purchases`, mergedInto: `${prefix}:merged_into`,
      };
    },
    syncTracker: (index) => `sync:${index}`,
    freshness: (store) => `freshness:${store}`,
    counts: (partition) => `recs:{recs:${partition}}`,
    countPartitions: 'recs:partitions',
    analytics(topic, partition) {
      const prefix = `analytics:{analytics:${topic}:${partition}}`;
      return { applied: `${prefix}:applied`, pending: `${prefix}:pending`, sealed: `${prefix}:sealed`, users: (day) => `${prefix}:users:${day}` };
    },
    analyticsSources: 'analytics:sources',
    subscribers: (generation) => subscriberKeys(cluster, generation),
    subscriberPointer: (isdn) => (cluster ? `ut360:{b${bucketOf(isdn)}}:current` : 'ut360:current'),
    subscriberPointers: cluster ? Array.from({ length: BUCKETS }, (_none, bucket) => `ut360:{b${bucket}}:current`) : ['ut360:current'],
    subscriberBucket: (isdn) => (cluster ? bucketOf(isdn) : 0),
    lease: (name) => ({ lease: `lease:{${name}}`, fence: `lease:{${name}}:fence` }),
    rateLimits,
    idempotency: (digest) => `idempotency:${digest}`,
    sessions: (owner) => ({ session: (id) => `session:{${owner}}:${id}`, messages: (id) => `session:{${owner}}:${id}:messages`, list: `sessions:{${owner}}` }),
    toolCalls: (caller, tool) => ({ minute: (number) => `mcp_calls:{${tagOf(caller)}:${tool}}:m${number}`, day: (number) => `mcp_calls:{${tagOf(caller)}:${tool}}:d${number}` }),
    toolConfirmation: (id) => `mcp_confirmed:${id}`,
    posToken: (clientId, hash) => `kv_token:${clientId}:${hash}`,
    posBudget: (retailer) => `kv_budget:${retailer}`,
    posBudgetOf: (retailer, caller) => `{kv_budget:${retailer}}:${caller}`,
    posCache: (endpoint, hash) => `api_cache:kiotviet:${endpoint}:${hash}`,
    posCacheEpoch: (endpoint) => `api_cache:kiotviet:${endpoint}:epoch`,
    jobsPrefix: cluster ? '{bull}' : 'bull',
  };
}

/** The keys of the server or cluster that a URL leads to. */
export const keysFor = (url: string): Keys => createKeys({ cluster: isClusterUrl(url) });
