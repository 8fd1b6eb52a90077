import { within } from '@millrace/service';
import type { Pointer } from '@millrace/subscribers';
import { isSetThere } from '@millrace/subscribers';
import type { Pool } from 'pg';

/** Where a question went: `replica`; `behind`: the replica did not have the generation yet; `failed`: it did not answer. The latter two went to the primary. */
export type ReplicaEvent = 'replica' | 'behind' | 'failed';

export interface Reads {
  /**
   * Asks the replica where it is known to have what the pointer names, else, and where it does not answer, the primary. So `ask` must only read, and may
   * be called twice. Rejects as the primary does.
   */
  at<T>(pointer: Pointer, ask: (db: Pool) => Promise<T>): Promise<T>;
}

export interface ReadsDeps {
  readonly primary: Pool;
  /** Undefined: there is none. */
  readonly replica: Pool | undefined;
  /** Longest wait for the replica before the primary is asked. */
  readonly timeoutMs: number;
  readonly onEvent: (event: ReplicaEvent) => void;
}

/** How long a replica that was behind, or did not answer, is not asked again. */
const BEHIND_MS = 200;
const REST_MS = 5_000;
const MAX_KNOWN = 100;

/**
 * Reads of lookups, spread over a primary and its replica. Replication keeps the order of commits: a replica that has the pointer's version has the tables
 * that it names, without those who were erased before. What it has once it keeps, so it is asked once for each version.
 */
export function createReads({ primary, replica, timeoutMs, onEvent }: ReadsDeps): Reads {
  if (replica === undefined) return { at: async (_pointer, ask) => await ask(primary) };
  const known = new Set<number>();
  const checks = new Map<number, Promise<boolean>>();
  let restUntilMs = 0;
  let behindUntilMs = 0;
  const ask = async <T>(question: (db: Pool) => Promise<T>): Promise<T> => await within(timeoutMs, question(replica), () => new Error(`the replica did not answer within ${timeoutMs} ms`));

  const check = async (pointer: Pointer): Promise<boolean> => {
    if (performance.now() < behindUntilMs) return false;
    const isThere = await ask((db) => isSetThere(db, pointer));
    if (!isThere) behindUntilMs = performance.now() + BEHIND_MS;
    else {
      if (known.size >= MAX_KNOWN) known.clear();
      known.add(pointer.version);
    }
    return isThere;
  };
  const isReady = async (pointer: Pointer): Promise<boolean> => {
    if (known.has(pointer.version)) return true;
    let checking = checks.get(pointer.version);
    if (checking === undefined) {
      checking = check(pointer).finally(() => checks.delete(pointer.version));
      checks.set(pointer.version, checking);
    }
    return await checking;
  };
  const fromReplica = async <T>(pointer: Pointer, question: (db: Pool) => Promise<T>): Promise<{ readonly answer: T } | undefined> => {
    if (performance.now() < restUntilMs) return undefined;
    try {
      if (!(await isReady(pointer))) {
        onEvent('behind');
        return undefined;
      }
      const answer = await ask(question);
      onEvent('replica');
      return { answer };
    } catch {
      // Away, hanging, or in conflict with its replay: the primary says whether the question itself is wrong.
      known.delete(pointer.version);
      restUntilMs = performance.now() + REST_MS;
      onEvent('failed');
      return undefined;
    }
  };
  return {
    async at(pointer, question) {
      const found = await fromReplica(pointer, question);
      return found === undefined ? await question(primary) : found.answer;
    },
  };
}
