import type { Logger } from '@millrace/service';
import { countErased, createErasedFilter, readErased, readOpenErasures } from '@millrace/subscribers';
import type { IsErased } from '@millrace/subscribers';
import type { Pool } from 'pg';

/** Who was erased, as this process knows it: HMACs in memory, about 150 bytes each. */
export interface ErasedSubscribers {
  /** Costs nothing while nobody was ever erased. Never throws. */
  readonly has: IsErased;
  /** Those of them who may still be in the stores, because a load is running or Redis is away: what reads rows as a whole leaves them out by name. */
  readonly open: () => readonly string[];
  /** Resolves once `has` knows everybody who was recorded before the call. One query where there is nobody new. */
  refresh(): Promise<void>;
  /** Resolves once the last `refresh` has ended, also where it failed. */
  readonly settled: () => Promise<void>;
}

const NOBODY: IsErased = () => false;

/** Throws ErasureSecretError where subscribers were erased under another secret than `secret`: they could come back unseen. */
export async function openErasedSubscribers(pool: Pool, secret: string | undefined): Promise<ErasedSubscribers> {
  let isErased = NOBODY;
  let known = 0;
  let open: readonly string[] = [];
  const load = async (): Promise<void> => {
    const last = await countErased(pool);
    if (open.length > 0 && last === known) open = await readOpenErasures(pool, secret);
    if (last === known) return;
    const list = await readErased(pool, secret);
    isErased = list === undefined ? NOBODY : createErasedFilter(list);
    open = await readOpenErasures(pool, secret);
    known = last;
  };
  // One after the other: a load that began before the call may not know what it must.
  let running: Promise<void> = Promise.resolve();
  const refresh = (): Promise<void> => (running = running.catch(() => undefined).then(load));
  await refresh();
  return { has: (isdn) => isErased(isdn), open: () => open, refresh, settled: () => running.catch(() => undefined) };
}

/** For whoever cannot wait: what fails is tried again with the next check. */
export const refreshInBackground = (erased: ErasedSubscribers, logger: Logger): void =>
  void erased.refresh().catch((err: unknown) => logger.error({ err }, 'it could not be read who was erased, it will be tried again'));
