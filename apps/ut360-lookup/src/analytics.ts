import { AppError, within } from '@millrace/service';
import { readAnalytics, storeAnalytics } from '@millrace/subscribers';
import type { Pointer, StoredAnalytics } from '@millrace/subscribers';
import type { Pool } from 'pg';
import type { Reads } from './reads.ts';

export interface Analytics {
  /**
   * Of the set that the pointer names. From memory where it was read before, from Postgres else; computed where the load did not do it. Rejects with
   * AppError('unavailable') where Postgres does not answer in time, and with Postgres' undefined_table where the generation is gone.
   */
  read(pointer: Pointer): Promise<StoredAnalytics>;
}

export interface AnalyticsDeps {
  readonly reads: Reads;
  /** The primary, without a statement timeout. */
  readonly pool: Pool;
  /** Longest wait of a caller, also for what has to be computed first. */
  readonly waitMs?: number;
}

/** Of the live set, of the one before, and of what was live a moment ago. */
const KEPT = 3;
/** Below what the gateway waits. */
const WAIT_MS = 8_000;
export const UNDEFINED_TABLE = '42P01';
const codeOf = (error: unknown): unknown => (typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined);

export function createAnalytics({ reads, pool, waitMs = WAIT_MS }: AnalyticsDeps): Analytics {
  /** By the pointer's version: it moves with every switch, and when somebody is erased. */
  const known = new Map<number, StoredAnalytics>();
  const flights = new Map<number, Promise<StoredAnalytics>>();

  const compute = async (pointer: Pointer): Promise<StoredAnalytics> => {
    const client = await pool.connect();
    let isGood = false;
    try {
      await storeAnalytics(client, pointer);
      const stored = await readAnalytics(client, pointer.redis);
      isGood = true;
      if (stored === undefined) throw new Error('rows went while they were counted');
      return stored;
    } finally {
      client.release(!isGood);
    }
  };
  const load = async (pointer: Pointer): Promise<StoredAnalytics> => {
    const stored = (await reads.at(pointer, (db) => readAnalytics(db, pointer.redis))) ?? (await compute(pointer));
    for (const version of [...known.keys()].slice(0, Math.max(0, known.size - KEPT + 1))) known.delete(version);
    known.set(pointer.version, stored);
    return stored;
  };
  const fly = (pointer: Pointer): Promise<StoredAnalytics> => {
    let flight = flights.get(pointer.version);
    if (flight === undefined) {
      flight = load(pointer).finally(() => flights.delete(pointer.version));
      flight.catch(() => undefined);
      flights.set(pointer.version, flight);
    }
    return flight;
  };
  return {
    async read(pointer) {
      const found = known.get(pointer.version);
      if (found !== undefined) return found;
      try {
        return await within(waitMs, fly(pointer), () => new Error(`no analytics within ${waitMs} ms`));
      } catch (error) {
        if (codeOf(error) === UNDEFINED_TABLE) throw error;
        throw new AppError('unavailable', 'analytics cannot be read now: Postgres has not answered, or they are being computed; ask again in some seconds', { cause: error, headers: { 'Retry-After': '5' } });
      }
    },
  };
}

/** Is the generation gone that was asked for? */
export const isGenerationGone = (error: unknown): boolean => codeOf(error) === UNDEFINED_TABLE;
