import { describe, expect, it } from '@jest/globals';
import { compileRelevance } from '@millrace/search';
import { createLogger, createMetrics } from '@millrace/service';
import { eventually } from '@millrace/testing';
import { openLiveRelevance } from '../src/live-relevance.ts';
import type { LiveRelevanceDeps } from '../src/live-relevance.ts';

const pinOf = (sku: string) => [{ id: '1', query: 'lamp', action: { type: 'pin' as const, skus: [sku] } }];

/** Postgres and the caches as this test wants them. */
function world() {
  const state = { revision: 1, isDown: false, cachesAreDown: false, loads: 0, told: [] as number[] };
  const answer = async <T>(value: () => T): Promise<T> => {
    if (state.isDown) throw new Error('no database');
    return value();
  };
  const logger = createLogger('test', 'silent');
  const warnings: string[] = [];
  logger.warn = (_fields: unknown, message?: string) => void warnings.push(message ?? '');
  const metrics = createMetrics('test');
  const deps: LiveRelevanceDeps = {
    readRevision: () => answer(() => state.revision),
    readAll: () => answer(() => {
      state.loads += 1;
      return { revision: state.revision, synonyms: [], rules: pinOf(`sku-${state.revision}`) };
    }),
    compile: compileRelevance,
    onLoaded: async (revision) => {
      if (state.cachesAreDown) throw new Error('no bus');
      state.told.push(revision);
    },
    pollMs: 5, logger, metrics,
  };
  return { state, deps, warnings, metrics };
}
const pinned = (live: Awaited<ReturnType<typeof openLiveRelevance>>): string | undefined => live.forQuery({ q: 'lamps' }, new Date()).merchandising.pins[0]?.sku;

describe('synonyms and rules in memory', () => {
  it('opens without rules while Postgres is away, and has them once it is back', async () => {
    const { state, deps, warnings } = world();
    state.isDown = true;
    const live = await openLiveRelevance(deps);
    expect([pinned(live), live.revision(), warnings]).toEqual([undefined, undefined, ['synonyms and rules cannot be loaded: the last known stay in force']]);
    state.isDown = false;
    await eventually(() => pinned(live) === 'sku-1');
    await live.close();
  });
  it('keeps the last known ones when they cannot be loaded, warns once and counts each try', async () => {
    const { state, deps, warnings, metrics } = world();
    const live = await openLiveRelevance(deps);
    state.isDown = true;
    state.revision = 2;
    const failures = async () => (await metrics.getSingleMetric('relevance_load_failures_total')?.get())?.values[0]?.value ?? 0;
    await eventually(async () => (await failures()) > 2);
    expect([pinned(live), live.revision(), warnings.length]).toEqual(['sku-1', 1, 1]);
    state.isDown = false;
    await live.refresh();
    expect(pinned(live)).toBe('sku-2');
    await live.close();
  });
  it('loads only what it does not have', async () => {
    const { state, deps } = world();
    const live = await openLiveRelevance({ ...deps, pollMs: 60_000 });
    await Promise.all([live.refresh(), live.refresh(), live.refresh()]);
    expect(state.loads).toBe(1);
    state.revision = 2;
    await live.refresh();
    expect([state.loads, pinned(live)]).toEqual([2, 'sku-2']);
    await live.close();
  });
  it('has what was committed while it was loading, once a refresh that began after the commit has resolved', async () => {
    const { state, deps } = world();
    let commitMeanwhile = (): void => undefined;
    const live = await openLiveRelevance({ ...deps, pollMs: 60_000, readAll: async () => {
      const stored = await deps.readAll(undefined);
      commitMeanwhile();
      return stored;
    } });
    let later: Promise<void> | undefined;
    commitMeanwhile = () => {
      commitMeanwhile = () => undefined;
      state.revision = 3;
      later = live.refresh();
    };
    state.revision = 2;
    await live.refresh();
    await later;
    expect(pinned(live)).toBe('sku-3');
    await live.close();
  });
  it('tells caches of each revision once, and again until they have heard it', async () => {
    const { state, deps } = world();
    const live = await openLiveRelevance(deps);
    await eventually(() => state.told.length === 1);
    state.cachesAreDown = true;
    state.revision = 2;
    await live.refresh();
    state.cachesAreDown = false;
    await eventually(() => state.told.length === 2);
    await live.refresh();
    expect(state.told).toEqual([1, 2]);
    await live.close();
  });
  it('tells caches at once of a revision that came into force while they were told of the one before', async () => {
    const { state, deps } = world();
    let hear = (): void => undefined;
    const live = await openLiveRelevance({ ...deps, pollMs: 60_000, onLoaded: async (revision) => {
      state.told.push(revision);
      if (revision === 1) await new Promise<void>((resolve) => (hear = resolve));
    } });
    state.revision = 2;
    await live.refresh();
    hear();
    await eventually(() => state.told.length === 2);
    expect(state.told).toEqual([1, 2]);
    await live.close();
  });
});
