import { BusAdminError, isUnavailable } from '@millrace/bus';
import type { BusAdmin, EngineFeatures } from '@millrace/bus';
import { whenReady } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';
import { AppError, within } from '@millrace/service';
import type { ErrorCode, ErrorDetail } from '@millrace/service';

export interface BusAccessDeps {
  readonly admin: BusAdmin;
  /** Rejects, within about a second, where the broker does not answer. */
  readonly ping: () => Promise<void>;
  /** Its name in answers. Default Redis. */
  readonly broker?: string;
}

export interface BusCall {
  /** Longest time for the work. */
  readonly timeoutMs: number;
  /** The part of the request to blame where the tools do not say which. */
  readonly place?: Pick<ErrorDetail, 'in' | 'pointer'>;
}

/**
 * Does one piece of work with the tools of the bus. Expected failures are AppErrors: unavailable, at once, where the broker is away or cannot do it now;
 * upstream_timeout where it does not end in time (a change may have happened); not_found, conflict and invalid_request as the tools say.
 */
export type BusAccess = <T>(call: BusCall, work: (admin: BusAdmin) => Promise<T>) => Promise<T>;

const PING_MS = 1_000;
const codes: Readonly<Record<BusAdminError['code'], ErrorCode>> = { not_found: 'not_found', conflict: 'conflict', invalid: 'invalid_request' };
/** Replies of a server that is there and cannot do its work now. */
const REFUSES_NOW = /^(OOM|LOADING|READONLY|MASTERDOWN|MISCONF|NOREPLICAS|CLUSTERDOWN|TRYAGAIN|BUSY)\b/;

const silent = (broker: string, timeoutMs: number) => (): Error => new Error(`${broker} did not answer within ${timeoutMs} ms`);
const unfinished = (broker: string, timeoutMs: number) => (): Error =>
  new AppError('upstream_timeout', `${broker} did not finish within ${timeoutMs / 1_000} s; what was asked for may have happened in part`, { headers: { 'Retry-After': '1' } });
const unavailable = (cause: unknown, why: string): AppError => new AppError('unavailable', `the bus cannot be asked now: ${why}`, { cause, headers: { 'Retry-After': '1' } });

function toAppError(error: BusAdminError, place: BusCall['place']): AppError {
  const at = error.pointer === undefined ? place : { in: 'body' as const, pointer: error.pointer };
  return new AppError(codes[error.code], error.message, { cause: error, details: error.code === 'invalid' && at ? [{ ...at, detail: error.message }] : [] });
}

/** What the engines of a bus are called. */
export const brokerNames: Readonly<Record<EngineFeatures['engine'], string>> = { redis: 'Redis', nats: 'NATS', postgres: 'Postgres' };

export function createBusAccess({ admin, ping, broker = 'Redis' }: BusAccessDeps): BusAccess {
  const checkThere = async (): Promise<void> => {
    await within(2 * PING_MS, ping(), silent(broker, 2 * PING_MS)).catch((error: unknown) => {
      throw unavailable(error, `${broker} does not answer`);
    });
  };
  return async ({ timeoutMs, place }, work) => {
    await checkThere();
    try {
      return await within(timeoutMs, work(admin), unfinished(broker, timeoutMs));
    } catch (error) {
      if (error instanceof BusAdminError) throw toAppError(error, place);
      const [, refusal] = REFUSES_NOW.exec(error instanceof Error ? error.message : '') ?? [];
      if (refusal !== undefined) throw unavailable(error, `Redis answers ${refusal}`);
      if (broker !== 'Redis' && isUnavailable(error)) throw unavailable(error, `${broker} does not answer`);
      // What failed because the broker went away meanwhile is not a bug.
      await checkThere();
      throw error;
    }
  };
}

/** Resolves where Redis answers now. */
export async function pingRedis(redis: Redis): Promise<void> {
  await whenReady(redis, PING_MS);
  await within(PING_MS, redis.ping(), silent('Redis', PING_MS));
}
