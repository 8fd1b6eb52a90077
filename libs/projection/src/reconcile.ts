import type { Logger } from '@millrace/service';
import { Counter, Gauge } from 'prom-client';
import type { Registry } from 'prom-client';
import type { ProjectedChange } from './export-reader.ts';
import { findDrift } from './find-drift.ts';
import type { Difference, DriftKind, FindDriftDeps, VersionedStore } from './find-drift.ts';

/** The live index or collection. */
export interface ReconciledTarget {
  readonly name: string;
  readonly store: VersionedStore;
  /** Brings it to the given states, guarded by version; what it refuses is left out. Resolves when readers can see it. */
  readonly repair: (changes: readonly ProjectedChange[]) => Promise<void>;
}

/** What one comparison of a store with the catalogue found. Times are ISO 8601. */
export interface Verification {
  readonly target: string;
  readonly startedAt: string;
  readonly finishedAt: string;
  /** What readers should find, and what they found, when it began. */
  readonly products: number;
  readonly stored: number;
  readonly found: Readonly<Record<DriftKind, number>>;
  /** Differences of changes that the consumer has not got to yet: no drift. */
  readonly inFlight: number;
  readonly repaired: number;
  /** Differences that are still there: the drift now. */
  readonly remaining: number;
  /** The first differences, at most 20. */
  readonly examples: readonly Omit<Difference, 'change'>[];
}

export interface ReconcilerDeps extends Pick<FindDriftDeps, 'source' | 'settle'> {
  readonly store: 'search' | 'vectors';
  /** undefined: there is none yet. */
  readonly target: () => Promise<ReconciledTarget | undefined>;
  /** One verification of a store at a time, over all instances. */
  readonly asLeader: <T>(work: (lost: AbortSignal) => Promise<T>) => Promise<{ readonly result: T } | undefined>;
  readonly record: (verification: Verification) => Promise<void>;
  readonly metrics: Registry;
  readonly logger: Pick<Logger, 'info' | 'warn'>;
  readonly signal: AbortSignal;
}

export interface Reconciler {
  /** Compares and, with `repair`, mends. `busy`: another verification is under way; `absent`: there is no live index yet. Rejects where the catalogue or the store cannot be asked. */
  run(options: { readonly repair: boolean }): Promise<Verification | 'busy' | 'absent'>;
  /** Has the metrics tell of this one, which another instance may have made. */
  show(verification: Verification): void;
}

const EXAMPLES = 20;
const REPAIRED_AT_ONCE = 500;
const none = (): Record<DriftKind, number> => ({ missing: 0, behind: 0, ghost: 0, ahead: 0 });

interface Tally { found: Record<DriftKind, number>; inFlight: number; repaired: number; examples: Omit<Difference, 'change'>[] }

/** How many of the differences are gone after their repair. */
async function mend({ store, repair }: ReconciledTarget, differences: readonly Difference[]): Promise<number> {
  const changes = differences.flatMap(({ change }) => (change ? [change] : []));
  let mended = 0;
  for (let at = 0; at < changes.length; at += REPAIRED_AT_ONCE) {
    const chunk = changes.slice(at, at + REPAIRED_AT_ONCE);
    await repair(chunk);
    const now = await store.versionsOf(chunk.map(({ sku }) => sku));
    mended += chunk.filter(({ sku, version, product }) => {
      const held = now.get(sku);
      return held !== undefined && (held.version > version || (held.version === version && held.deleted === (product === undefined)));
    }).length;
  }
  return mended;
}

function createDriftMetrics(registry: Registry, store: string) {
  const drift = new Gauge({ name: 'sync_drift_docs', help: 'Products that differ from the catalogue after the last verification', labelNames: ['store'], registers: [registry] });
  const found = new Counter({ name: 'sync_drift_found_total', help: 'Differences from the catalogue that were found', labelNames: ['store', 'kind'], registers: [registry] });
  const repaired = new Counter({ name: 'sync_drift_repaired_total', help: 'Differences from the catalogue that were mended', labelNames: ['store'], registers: [registry] });
  const verified = new Gauge({ name: 'sync_verified_timestamp_seconds', help: 'When the last verification ended', labelNames: ['store'], registers: [registry] });
  const show = (done: Verification): void => {
    drift.set({ store }, done.remaining);
    verified.set({ store }, Date.parse(done.finishedAt) / 1_000);
  };
  const countUp = (done: Verification): void => {
    for (const [kind, times] of Object.entries(done.found)) found.inc({ store, kind }, times);
    repaired.inc({ store }, done.repaired);
  };
  return { show, countUp };
}

/** Keeps a store provably equal to the catalogue: compares it by digests and mends what differs. */
export function createReconciler(deps: ReconcilerDeps): Reconciler {
  const { source, settle, target, asLeader, record, logger, signal } = deps;
  const { show, countUp } = createDriftMetrics(deps.metrics, deps.store);
  const verify = async (live: ReconciledTarget, repair: boolean, lost: AbortSignal): Promise<Verification> => {
    const startedAt = new Date().toISOString();
    const tally: Tally = { found: none(), inFlight: 0, repaired: 0, examples: [] };
    const compared = await findDrift({
      source, settle, store: live.store, signal: AbortSignal.any([signal, lost]),
      onDifferences: async (differences, settled) => {
        tally.examples.push(...differences.slice(0, EXAMPLES - tally.examples.length).map(({ change: _change, ...shown }) => shown));
        if (!settled) {
          tally.inFlight += differences.length;
          return;
        }
        for (const { kind } of differences) tally.found[kind] += 1;
        if (repair) tally.repaired += await mend(live, differences);
      },
    });
    const found = Object.values(tally.found).reduce((sum, count) => sum + count, 0);
    return { target: live.name, startedAt, finishedAt: new Date().toISOString(), ...compared, ...tally, remaining: found - tally.repaired };
  };
  return {
    show,
    run: async ({ repair }) => {
      const done = await asLeader(async (lost) => {
        const live = await target();
        if (!live) return 'absent' as const;
        const verification = await verify(live, repair, lost);
        await record(verification);
        show(verification);
        countUp(verification);
        const { found, repaired, remaining, examples } = verification;
        if (found.ahead > 0) logger.warn({ store: deps.store, ahead: found.ahead }, 'the store is ahead of the database, which was restored to an earlier state: a rebuild is needed');
        if (repaired + remaining > 0) logger.warn({ store: deps.store, ...found, repaired, remaining, examples: examples.slice(0, 3) }, 'the store differed from the catalogue');
        return verification;
      });
      return done?.result ?? 'busy';
    },
  };
}
