import type { Operation } from '@millrace/contracts';

/**
 * One limit. `refill`: GCRA, `quota` units at once and `quota` per window besides, without windows that all begin at once. `window`: a quota that is
 * defined so, `quota` calls in a window that begins with the first one.
 */
export interface Limit {
  /** Stands in the headers, in the metrics and in Redis' keys; never seen twice. */
  readonly name: string;
  readonly kind: 'refill' | 'window';
  /** Whose calls are counted together. `user`: X-User-Id, within the key's workspace or the key; a call without it is not counted. `route`: one operation of one key. `address`: whoever has no valid key. */
  readonly by: 'key' | 'workspace' | 'user' | 'route' | 'address';
  readonly quota: number;
  readonly windowSeconds: number;
  /** Every call asks Redis; else an instance may take up to 2 % of the quota at once while more than half of it is left. */
  readonly isStrict?: boolean;
}

/** What the calls of one operation take: units of each of the limits. */
export interface OperationLimits {
  readonly limits: readonly Limit[];
  readonly cost: number;
}

export interface LimitSettings {
  readonly readsPerMinute: number;
  readonly writesPerMinute: number;
  readonly eventsPerMinute: number;
  readonly jobsPerMinute: number;
  readonly workspacePerMinute: number;
  readonly userPerMinute: number;
  readonly chatPerMinute: number;
  readonly mcpPerMinute: number;
  /** Connections of a key that can use up their limit at once. */
  readonly mcpConnections: number;
  readonly isStrict: boolean;
}

const MINUTE = 60;

/** Every limit that there is. */
export function createLimitSet(settings: LimitSettings) {
  const perMinute = (name: string, by: Limit['by'], quota: number, over: Partial<Limit> = {}): Limit => ({ name, kind: 'refill', by, quota, windowSeconds: MINUTE, isStrict: settings.isStrict, ...over });
  return {
    reads: perMinute('reads', 'key', settings.readsPerMinute),
    writes: perMinute('writes', 'key', settings.writesPerMinute),
    events: perMinute('events', 'key', settings.eventsPerMinute),
    jobs: perMinute('jobs', 'route', settings.jobsPerMinute, { isStrict: true }),
    workspace: perMinute('workspace', 'workspace', settings.workspacePerMinute),
    user: perMinute('user', 'user', settings.userPerMinute),
    chat: perMinute('chat', 'user', settings.chatPerMinute, { kind: 'window' }),
    mcp: perMinute('mcp', 'key', settings.mcpPerMinute, { kind: 'window' }),
    // A program chooses its own name, and with it its connection.
    mcpKey: perMinute('mcp_key', 'key', settings.mcpPerMinute * settings.mcpConnections),
  } satisfies Readonly<Record<string, Limit>>;
}
export type LimitSet = ReturnType<typeof createLimitSet>;

interface Rule {
  readonly limits?: readonly (keyof LimitSet)[];
  readonly cost?: number;
}

const READS: Rule = { limits: ['reads', 'workspace', 'user'] };
const WRITES: Rule = { limits: ['writes', 'workspace', 'user'] };
const JOB: Rule = { limits: ['jobs', 'writes', 'workspace'] };

/** By the method, where the table below says nothing. */
const defaults: Readonly<Record<Operation['method'], Rule>> = { get: READS, post: WRITES, put: WRITES, patch: WRITES, delete: WRITES };

/** By operationId: another set of limits than the method's, another cost than 1, or both. */
export const limitRules: Readonly<Record<string, Rule>> = {
  // All visitors of a shop share its publishable key. A batch costs as much as its transport, not as its events: those are event-ingest's to bound.
  logEvent: { limits: ['events'] },
  logEvents: { limits: ['events'], cost: 10 },
  postImpressions: { limits: ['events'] },
  // From one sender, in bursts; nobody else's writes shall wait behind them.
  receivePosNotification: { limits: ['events'] },
  // Reads by POST.
  similarRecommendations: READS,
  similarRecommendationsShort: READS,
  similarByBody: READS,
  similarToSeveral: READS,
  rerankItems: READS,
  previewRelevance: READS,
  // Its four parts.
  getProductPage: { ...READS, cost: 4 },
  previewSegment: { ...READS, cost: 10 },
  lookupSubscribers: { ...READS, cost: 10 },
  // Besides the limit of its connection; what the tools ask is counted for itself.
  callMcp: { limits: ['reads', 'workspace', 'user', 'mcpKey'] },
  // Work that goes on after the answer, or that reads or writes a whole store.
  importProducts: JOB,
  startResync: JOB,
  startRebuild: JOB,
  rebuildRecommendations: JOB,
  recountAnalytics: JOB,
  verifyStores: JOB,
  syncPos: JOB,
  repartitionTopic: JOB,
  exportSegment: { limits: ['jobs', 'reads', 'workspace'], cost: 10 },
};

/** Chat messages count against the user's quota, whatever the operation is called. */
const isChat = ({ method, path }: Operation): boolean => method === 'post' && /^\/api\/sessions\/\{\w+\}\/messages$/.test(path);

function resolve(operation: Operation, set: LimitSet, rules: Readonly<Record<string, Rule>>): OperationLimits {
  const rule = rules[operation.operationId];
  const names = rule?.limits ?? defaults[operation.method].limits ?? [];
  const limits = [...names, ...(isChat(operation) ? (['chat'] as const) : [])].map((name) => set[name]);
  const cost = rule?.cost ?? 1;
  const tooSmall = limits.find(({ kind, quota }) => kind === 'refill' && quota < cost);
  if (tooSmall) throw new Error(`${operation.operationId} costs ${cost} units, and the limit ${tooSmall.name} has only ${tooSmall.quota}: no call would ever be let in`);
  return { limits, cost };
}

/** What each operation takes. Throws where a rule names an operation that there is none of, or costs more than a limit has. */
export function createLimitTable(operations: readonly Operation[], set: LimitSet, rules = limitRules): (operation: Operation) => OperationLimits {
  const known = new Set(operations.map(({ operationId }) => operationId));
  const unknown = Object.keys(rules).filter((id) => !known.has(id));
  if (unknown.length > 0) throw new Error(`rate limits name unknown operations: ${unknown.join(', ')}`);
  const table = new Map(operations.map((operation) => [operation.operationId, resolve(operation, set, rules)]));
  return (operation) => table.get(operation.operationId) ?? resolve(operation, set, rules);
}
