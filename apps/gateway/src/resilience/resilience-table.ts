import { repetitions } from '@millrace/contracts';
import type { Operation } from '@millrace/contracts';

/** How long a service may take. Operations that say more themselves (`timeoutMs`) have that instead. */
interface ServiceTimes {
  /** For a call with its repetition. */
  readonly wholeMs: number;
  /** Reads that have no answer by then are asked again, where the budget allows; else they go on waiting. */
  readonly firstTryMs: number;
  /** Each try costs something elsewhere: reads are sent again only where nothing was sent. */
  readonly isCostly?: boolean;
}

interface OperationRule {
  readonly wholeMs?: number;
  readonly firstTryMs?: number;
}

/** What is done for the calls of one operation. */
export interface CallPlan {
  readonly service: string;
  readonly wholeMs: number;
  /** undefined: whatever it takes is right. */
  readonly firstTryMs: number | undefined;
  /**
   * `read`: repeated after every failure that may pass. `unsent`: only where no connection was made, so nothing can have happened. `never`: a body or an
   * answer that is streamed.
   */
  readonly retry: 'read' | 'unsent' | 'never';
  readonly isLong: boolean;
  /** Its silence says nothing about the service: it is heavy work. */
  readonly isHeavy: boolean;
}

const standard: ServiceTimes = { wholeMs: 10_000, firstTryMs: 4_000 };

/** By service; one that is missing here stops the gateway. */
export const serviceTimes: Readonly<Record<string, ServiceTimes>> = {
  'catalog-api': standard,
  'es-sync-worker': standard,
  'event-ingest': standard,
  'ut360-lookup': standard,
  // A list that comes later than this is shown to nobody.
  recommender: { wholeMs: 5_000, firstTryMs: 2_000 },
  // It asks the shop's own system, whose calls are counted, and repeats by itself what may pass.
  pos: { ...standard, isCostly: true },
  // Its calls come back here, each with its own times.
  mcp: { ...standard, isCostly: true },
};

/** By operationId, where the service's times do not fit. */
export const operationRules: Readonly<Record<string, OperationRule>> = {
  // The user has typed on by then.
  suggestProducts: { wholeMs: 3_000, firstTryMs: 1_000 },
  getProduct: { wholeMs: 5_000, firstTryMs: 2_000 },
};

export function planOf(operation: Operation, times = serviceTimes, rules = operationRules): CallPlan {
  const { service, method, operationId, timeoutMs } = operation;
  const ofService = times[service];
  if (!ofService) throw new Error(`${operationId} is answered by ${service}, for which there are no timeouts (resilience-table.ts)`);
  const isLong = operation.streams !== undefined || operation.isFeed === true || operation.isDownload === true;
  const isHeavy = isLong || timeoutMs !== undefined;
  const isRepeated = ofService.isCostly !== true && (method === 'get' || repetitions[operationId] === 'read');
  const wholeMs = timeoutMs ?? rules[operationId]?.wholeMs ?? ofService.wholeMs;
  return { service, wholeMs, isLong, isHeavy, retry: isLong ? 'never' : isRepeated ? 'read' : 'unsent', firstTryMs: isHeavy || !isRepeated ? undefined : (rules[operationId]?.firstTryMs ?? ofService.firstTryMs) };
}

/** Stops the gateway where a rule names an operation that it does not serve. */
export function checkOperationRules(operations: readonly Operation[], rules = operationRules): void {
  const known = new Set(operations.map(({ operationId }) => operationId));
  const unknown = Object.keys(rules).find((id) => !known.has(id));
  if (unknown !== undefined) throw new Error(`the table of timeouts names the unknown operation ${unknown}`);
}
