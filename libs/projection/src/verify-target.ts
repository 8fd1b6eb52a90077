import type { RebuildCheck } from '@millrace/contracts';
import type { ProjectedChange } from './export-reader.ts';
import { findDrift } from './find-drift.ts';
import type { Difference, VersionedStore } from './find-drift.ts';
import type { VersionSource } from './version-source.ts';

export interface VerifyTargetDeps {
  readonly source: VersionSource;
  readonly target: VersionedStore;
  /** Brings in what was committed before the call. */
  readonly catchUp: () => Promise<void>;
  /** Answers the skus that the store refused for what they are. */
  readonly fill: (changes: readonly ProjectedChange[]) => Promise<readonly string[]>;
  readonly signal: AbortSignal;
}

const EXAMPLES = 5;

const describe = ({ sku, kind, wanted, stored }: Difference): string => `${sku} ${kind} (${stored ?? 'nothing'} instead of ${wanted ?? 'nothing'})`;

/**
 * Compares a target that is not live yet with the catalogue: how many products, and each at its version, by digests of key ranges. What differs is
 * filled in, so that another look can pass; documents that the store refuses for what they are (a live one refuses them too) are named and pass.
 */
export async function verifyTarget({ source, target, catchUp, fill, signal }: VerifyTargetDeps): Promise<RebuildCheck> {
  let differing = 0;
  const examples: string[] = [];
  const refusedSkus: string[] = [];
  const { products, stored } = await findDrift({
    source, store: target, signal,
    settle: async () => {
      await catchUp();
      return true;
    },
    onDifferences: async (differences) => {
      const refused = new Set(await fill(differences.flatMap(({ change }) => (change ? [change] : []))));
      const wrong = differences.filter(({ sku }) => !refused.has(sku));
      differing += wrong.length;
      refusedSkus.push(...refused);
      examples.push(...wrong.slice(0, EXAMPLES - examples.length).map(describe));
    },
  });
  const counted = `${products} products are active, the target had ${stored}`;
  const refusal = refusedSkus.length === 0 ? '' : `; ${refusedSkus.length} refused for what they are: ${refusedSkus.slice(0, EXAMPLES).join(', ')}`;
  const detail = differing === 0 ? `${counted}, all at their versions or caught up${refusal}` : `${counted}; ${differing} differ: ${examples.join(', ')}${refusal}`;
  return { check: 'counts and versions', passed: differing === 0, detail };
}
