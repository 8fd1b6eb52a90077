import { isPosError } from '@millrace/kiotviet';
import type { PosProduct } from '@millrace/kiotviet';
import type { Lease } from '@millrace/redis-kit';
import type { Logger } from '@millrace/service';
import { AppError } from '@millrace/service';
import { dropHints, findHints, postponeHints } from './notification.repository.ts';
import type { Hint } from './notification.repository.ts';
import type { SyncDeps } from './synchronise.ts';
import { takeOver } from './take-over.ts';

export interface FollowDeps extends SyncDeps {
  readonly logger: Logger;
}

const AT_ONCE = 20;
/** A product that cannot be read for so long comes with its next change, or with a full run: others may be past it. */
const MOST_ATTEMPTS = 10;
const FIRST_WAIT_MS = 2_000;
const LONGEST_WAIT_MS = 600_000;

interface Read { readonly products: readonly PosProduct[]; readonly removedIds: readonly number[]; readonly read: readonly Hint[]; readonly failed: readonly Hint[]; readonly error: unknown }

/** Reads them one by one; the first failure that is not about one product alone ends it. */
async function readProducts({ kiotviet }: FollowDeps, hints: readonly Hint[]): Promise<Read> {
  const [products, removedIds, read, failed]: [PosProduct[], number[], Hint[], Hint[]] = [[], [], [], []];
  for (const [at, hint] of hints.entries()) {
    try {
      const product = await kiotviet.product(hint.posId, 'notice');
      if (product) products.push(product);
      else removedIds.push(hint.posId);
      read.push(hint);
    } catch (error) {
      failed.push(hint);
      if (!(error instanceof AppError) || !['pos_bad_answer', 'pos_refused'].includes(error.code)) return { products, removedIds, read, failed: [...failed, ...hints.slice(at + 1)], error };
    }
  }
  return { products, removedIds, read, failed, error: undefined };
}

const waitOf = (error: unknown, attempts: number): number => {
  const asked = isPosError(error) ? Number(error.headers['Retry-After'] ?? 0) * 1_000 : 0;
  return Math.max(asked, Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(attempts, 12)));
};

/** Reads what the POS has reported and takes it over: the report only says where to look, so that an old or a repeated one does no harm. Resolves with whether more may be waiting. */
export async function followHints(deps: FollowDeps, { fencingNumber, signal }: Pick<Lease, 'fencingNumber' | 'signal'>): Promise<boolean> {
  const { pool, logger } = deps;
  const hints = await findHints(pool, AT_ONCE);
  if (hints.length === 0) return false;
  const { products, removedIds, read, failed, error } = await readProducts(deps, hints);
  signal.throwIfAborted();
  if (read.length > 0) {
    const { problems } = await takeOver(deps, { products, removedIds }, fencingNumber).catch(async (failure: unknown) => {
      // Else each look would read them from the POS again.
      if (failure instanceof AppError) await postponeHints(pool, hints, waitOf(failure, Math.max(...hints.map(({ attempts }) => attempts))));
      throw failure;
    });
    if (problems.length > 0) logger.warn({ products: problems.map(({ pos_id: id, pointer, detail }) => ({ id, pointer, detail })) }, 'products that the point of sale reported cannot be taken over');
    await dropHints(pool, read);
  }
  const hopeless = failed.filter(({ attempts }) => attempts >= MOST_ATTEMPTS && error === undefined);
  if (hopeless.length > 0) logger.warn({ products: hopeless.map(({ posId }) => posId) }, 'products that the point of sale reported cannot be read: they come with their next change, or with a full run');
  await dropHints(pool, hopeless);
  const waiting = failed.filter((hint) => !hopeless.includes(hint));
  if (waiting.length > 0) await postponeHints(pool, waiting, waitOf(error, Math.max(...waiting.map(({ attempts }) => attempts))));
  return failed.length === 0;
}
