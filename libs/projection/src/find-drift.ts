import { compareSkus } from '@millrace/contracts';
import type { DigestsBody, SkuRange, StoredVersion } from '@millrace/contracts';
import type { ProjectedChange } from './export-reader.ts';
import { createVersionDigest } from './version-digest.ts';
import type { VersionDigest } from './version-digest.ts';
import type { VersionSource } from './version-source.ts';

/** A store that holds products by version. */
export interface VersionedStore {
  /** What readers can find, each sku once, in any order, in batches; only skus in `ranges` (absent: all). */
  readVersions(ranges?: readonly SkuRange[], signal?: AbortSignal): AsyncIterable<readonly StoredVersion[]>;
  /** What is stored of these skus now, tombstones included. */
  versionsOf(skus: readonly string[]): Promise<ReadonlyMap<string, Pick<StoredVersion, 'version' | 'deleted'>>>;
}

/**
 * `missing`: readers should find it and do not. `behind`: they find an older version. `ghost`: they find what is deleted or not for the public.
 * `ahead`: the store has a version that the catalogue never had, or another state under the same one: the database was restored to an earlier state.
 */
export type DriftKind = 'missing' | 'behind' | 'ghost' | 'ahead';

export interface Difference {
  readonly sku: string;
  readonly kind: DriftKind;
  /** Versions; undefined = there is none. */
  readonly wanted: number | undefined;
  readonly stored: number | undefined;
  /** What mends it; undefined for `ahead`, which only a rebuild mends. */
  readonly change: ProjectedChange | undefined;
}

export interface Comparison {
  /** What readers should find, and what they find. */
  readonly products: number;
  readonly stored: number;
}

export interface FindDriftDeps {
  readonly source: VersionSource;
  readonly store: VersionedStore;
  /** Resolves when the store has had the chance to take in all that was committed before the call. false: it is still behind, and differences are no drift yet. */
  readonly settle: (signal?: AbortSignal) => Promise<boolean>;
  /** Differences that outlast the settling, at most `GROUP` at a time. `settled` as `settle` said. */
  readonly onDifferences: (differences: readonly Difference[], settled: boolean) => Promise<void>;
  readonly signal?: AbortSignal;
}

const BUCKETS = 1_024;
/** Skus that are looked at one by one at once: bounds the memory. */
const GROUP = 50_000;
const CHECKED_AT_ONCE = 500;

type Bucket = DigestsBody['buckets'][number];
type Candidate = { readonly sku: string; readonly wanted: number | undefined; readonly stored: number | undefined };

const rangeOf = ({ from, to }: Pick<Bucket, 'from' | 'to'>): SkuRange => ({ ...(from !== null && { from }), ...(to !== null && { to }) });

/** The bucket that a sku belongs to; stores that read by sku find it near the one before. */
function createLocator(buckets: readonly Bucket[]): (sku: string) => number {
  let last = 0;
  const isIn = (sku: string, at: number): boolean => {
    const { from = null, to = null } = buckets[at] ?? {};
    return (from === null || compareSkus(sku, from) >= 0) && (to === null || compareSkus(sku, to) < 0);
  };
  return (sku) => {
    if (isIn(sku, last)) return last;
    let [low, high] = [0, buckets.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (compareSkus(sku, buckets[middle]?.from ?? '') >= 0) low = middle;
      else high = middle - 1;
    }
    return (last = low);
  };
}

async function digestStore(store: VersionedStore, buckets: readonly Bucket[], signal: AbortSignal | undefined): Promise<readonly VersionDigest[]> {
  const digests = buckets.map(() => createVersionDigest());
  const locate = createLocator(buckets);
  for await (const batch of store.readVersions(undefined, signal)) for (const entry of batch) digests[locate(entry.sku)]?.add(entry);
  return digests;
}

/** Buckets that differ, in groups that fit into memory. */
function* groupsOf(buckets: readonly Bucket[], digests: readonly VersionDigest[]): Generator<readonly Bucket[]> {
  let group: Bucket[] = [];
  let size = 0;
  for (const [at, bucket] of buckets.entries()) {
    const digest = digests[at];
    if (!digest || (digest.products === bucket.products && digest.hex === bucket.digest)) continue;
    group.push(bucket);
    size += Math.max(bucket.products, digest.products);
    if (size < GROUP) continue;
    yield group;
    [group, size] = [[], 0];
  }
  if (group.length > 0) yield group;
}

/** Neighbours as one range: fewer questions. */
function mergeRanges(group: readonly Bucket[]): SkuRange[] {
  const merged: Pick<Bucket, 'from' | 'to'>[] = [];
  for (const { from, to } of group) {
    const last = merged.at(-1);
    if (last && last.to !== null && last.to === from) merged[merged.length - 1] = { from: last.from, to };
    else merged.push({ from, to });
  }
  return merged.map(rangeOf);
}

async function candidatesOf({ source, store, signal }: FindDriftDeps, group: readonly Bucket[]): Promise<readonly Candidate[]> {
  const ranges = mergeRanges(group);
  const stored = new Map<string, number>();
  for await (const batch of store.readVersions(ranges, signal)) for (const { sku, version } of batch) stored.set(sku, version);
  const candidates: Candidate[] = [];
  for (const range of ranges) {
    for await (const batch of source.versions(range, signal)) {
      for (const { sku, version } of batch) {
        const held = stored.get(sku);
        if (held !== version) candidates.push({ sku, wanted: version, stored: held });
        stored.delete(sku);
      }
    }
  }
  for (const [sku, version] of stored) candidates.push({ sku, wanted: undefined, stored: version });
  return candidates;
}

/** What is still wrong with a candidate after the store had its chance; undefined: nothing, it was only on its way. */
function judge(candidate: Candidate, { now, wanted, lastVersion }: { now: Pick<StoredVersion, 'version' | 'deleted'> | undefined; wanted: ProjectedChange | undefined; lastVersion: number }): Difference | undefined {
  const { sku } = candidate;
  const held = now?.version ?? 0;
  const found = now !== undefined && !now.deleted;
  const of = (kind: DriftKind, change: ProjectedChange | undefined): Difference => ({ sku, kind, wanted: wanted?.version, stored: now?.version, change });
  // Read before the catalogue was: what the store had then, the catalogue must have by now.
  if (wanted === undefined) return !found ? undefined : held >= lastVersion ? of('ahead', undefined) : of('ghost', { sku, version: held + 1 });
  if (held > wanted.version) return of('ahead', undefined);
  if (held < (candidate.wanted ?? 0)) return of(found ? 'behind' : 'missing', wanted);
  // Neither side moves on without a higher version: the same one with another state is wrong for good.
  if (held === wanted.version && found !== (wanted.product !== undefined)) return of('ahead', undefined);
  // Found under a version that is older than the tombstone which was there before the settling.
  if (candidate.wanted === undefined && found && wanted.product === undefined && held < wanted.version) return of('ghost', wanted);
  return undefined;
}

async function confirm({ source, store, signal }: FindDriftDeps, candidates: readonly Candidate[]): Promise<readonly Difference[]> {
  const confirmed: Difference[] = [];
  for (let at = 0; at < candidates.length; at += CHECKED_AT_ONCE) {
    const chunk = candidates.slice(at, at + CHECKED_AT_ONCE);
    const skus = chunk.map(({ sku }) => sku);
    // The store first: whatever it has, the catalogue had before.
    const now = await store.versionsOf(skus);
    const { known, lastVersion } = await source.states(skus, signal);
    for (const candidate of chunk) {
      const difference = judge(candidate, { now: now.get(candidate.sku), wanted: known.get(candidate.sku), lastVersion });
      if (difference) confirmed.push(difference);
    }
  }
  return confirmed;
}

/**
 * Compares a store with the catalogue: digests of (sku, version) by key range, then one by one only where they differ, then once more after the
 * store had time to settle, so that changes on their way are no drift. Bounded memory: at most 50,000 skus are in hand at once.
 */
export async function findDrift(deps: FindDriftDeps): Promise<Comparison> {
  const { source, store, settle, onDifferences, signal } = deps;
  const { buckets, products } = await source.digests({}, BUCKETS, signal);
  const digests = await digestStore(store, buckets, signal);
  for (const group of groupsOf(buckets, digests)) {
    const candidates = await candidatesOf(deps, group);
    const settled = candidates.length === 0 || (await settle(signal));
    const differences = await confirm(deps, candidates);
    if (differences.length > 0) await onDifferences(differences, settled);
  }
  return { products, stored: digests.reduce((sum, digest) => sum + digest.products, 0) };
}
