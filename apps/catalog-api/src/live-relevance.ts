import type { MerchandisingRule, Relevance, SynonymRule } from '@millrace/search';
import type { Logger } from '@millrace/service';
import { Counter, Gauge } from 'prom-client';
import type { Registry } from 'prom-client';
import type { StoredRelevance } from './relevance.repository.ts';

export interface LiveRelevanceDeps {
  readonly readRevision: () => Promise<number>;
  /** What is stored now; may take over what has not changed from what it gave before. */
  readonly readAll: (known: StoredRelevance | undefined) => Promise<StoredRelevance>;
  readonly compile: (stored: { readonly synonyms: readonly SynonymRule[]; readonly rules: readonly MerchandisingRule[] }) => Relevance;
  /** Called when another revision is in force here, the first one too; again with each poll until it resolves. */
  readonly onLoaded: (revision: number) => Promise<void>;
  /** How often Postgres is asked for the revision, whatever the bus does. */
  readonly pollMs: number;
  readonly logger: Logger;
  readonly metrics: Registry;
}

export interface LiveRelevance extends Relevance {
  /** The revision in force here; undefined until the first load has succeeded: then no synonyms and no rules. */
  readonly revision: () => number | undefined;
  /** Resolves when everything that was committed before the call is in force here, or could not be loaded: then the last known stays. Never rejects. */
  readonly refresh: () => Promise<void>;
  readonly close: () => Promise<void>;
}

/** Synonyms and rules in the memory of this instance. Searches never wait for them and never fail because of them. */
export async function openLiveRelevance(deps: LiveRelevanceDeps): Promise<LiveRelevance> {
  const { logger, metrics } = deps;
  const loadedRevision = new Gauge({ name: 'relevance_revision', help: 'Revision of synonyms and rules in force in this instance', registers: [metrics] });
  const failures = new Counter({ name: 'relevance_load_failures_total', help: 'Tries to load synonyms and rules that failed; the last known stay in force', registers: [metrics] });
  let current = deps.compile({ synonyms: [], rules: [] });
  let known: StoredRelevance | undefined;
  let isFailing = false;

  const load = async (): Promise<void> => {
    try {
      const wanted = await deps.readRevision();
      if (wanted !== known?.revision) {
        const stored = await deps.readAll(known);
        current = deps.compile(stored);
        known = stored;
        loadedRevision.set(stored.revision);
        logger.info({ revision: stored.revision, synonyms: stored.synonyms.length, rules: stored.rules.length }, 'synonyms and rules loaded');
      }
      isFailing = false;
    } catch (error) {
      failures.inc();
      if (!isFailing) logger.warn({ err: error, revision: known?.revision }, 'synonyms and rules cannot be loaded: the last known stay in force');
      isFailing = true;
    }
  };
  const { refresh, settled } = oneAfterTheOther(load);
  const announce = announceOnce(deps, () => known?.revision);
  const poll = async (): Promise<void> => {
    await refresh();
    await announce();
  };
  await refresh();
  void announce();
  const timer = setInterval(() => void poll(), deps.pollMs);
  return {
    forQuery: (query, now) => current.forQuery(query, now),
    revision: () => known?.revision,
    refresh: async () => {
      await refresh();
      void announce();
    },
    close: async () => {
      clearInterval(timer);
      await settled();
    },
  };
}

/** A call during a run may have come after its reading: it waits for one more run, which all such calls share. */
function oneAfterTheOther(run: () => Promise<void>): { readonly refresh: () => Promise<void>; readonly settled: () => Promise<void> } {
  let last = Promise.resolve();
  let waiting: Promise<void> | undefined;
  const start = (): Promise<void> => {
    waiting = undefined;
    return run();
  };
  return { refresh: () => (waiting ??= last = last.then(start)), settled: () => last };
}

/** Tells of each revision once it is in force; one telling at a time, and what failed is told by the next call. */
function announceOnce({ onLoaded, logger }: LiveRelevanceDeps, revisionNow: () => number | undefined): () => Promise<void> {
  let told: number | undefined;
  let isTelling = false;
  return async () => {
    if (isTelling) return;
    isTelling = true;
    let revision = revisionNow();
    try {
      // Another may have come into force while this one was told.
      for (; revision !== undefined && revision !== told; revision = revisionNow()) {
        await onLoaded(revision);
        told = revision;
      }
    } catch (error) {
      logger.warn({ err: error, revision }, 'caches could not be told of new rules: trying again');
    } finally {
      isTelling = false;
    }
  };
}
