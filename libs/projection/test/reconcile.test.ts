import { describe, expect, it } from '@jest/globals';
import { compareSkus } from '@millrace/contracts';
import { createMetrics } from '@millrace/service';
import { eventually } from '@millrace/testing';
import { createReconciler, createSettle, createVersionDigest } from '../src/index.ts';
import type { ReconcilerDeps, Verification } from '../src/index.ts';
import { reconcileRegularly } from '../src/reconcile-regularly.ts';
import { memorySource, memoryStore } from './support.ts';
import type { Row } from './support.ts';

const logger = { info: () => undefined, warn: () => undefined };

/** 3,000 products at version 10, in both. */
function pair(count = 3_000) {
  const rows = new Map<string, Row>(Array.from({ length: count }, (_, n) => [`sku-${String(n).padStart(5, '0')}`, { version: 10 + n, active: true }]));
  const held = new Map([...rows].map(([sku, { version }]) => [sku, { version, deleted: false }]));
  return { rows, held };
}

function reconcilerOf({ rows, held }: ReturnType<typeof pair>, more: Partial<ReconcilerDeps> = {}) {
  const { source, asked } = memorySource(rows, () => 1_000_000);
  const { store, apply } = memoryStore(held);
  const recorded: Verification[] = [];
  const metrics = createMetrics('test');
  const reconciler = createReconciler({
    store: 'search', source, target: async () => ({ name: 'products-1', store, repair: apply }), settle: async () => true, asLeader: async (work) => ({ result: await work(new AbortController().signal) }),
    record: async (verification) => void recorded.push(verification), metrics, logger, signal: new AbortController().signal, ...more,
  });
  const run = async (repair: boolean): Promise<Verification> => {
    const done = await reconciler.run({ repair });
    if (typeof done === 'string') throw new Error(done);
    return done;
  };
  return { run, asked, recorded, metrics, store, reconciler };
}

describe('the reconciler', () => {
  it('finds nothing where both are equal, and reads nothing one by one', async () => {
    const { run, asked } = reconcilerOf(pair());
    expect(await run(true)).toMatchObject({ products: 3_000, stored: 3_000, found: { missing: 0, behind: 0, ghost: 0, ahead: 0 }, remaining: 0, repaired: 0, examples: [] });
    expect(asked).toEqual({ versions: 0, states: 0 });
  });

  it('finds what is missing, behind and too much, mends exactly that and nothing else', async () => {
    const both = pair();
    both.held.delete('sku-00007');
    both.held.set('sku-01500', { version: 3, deleted: false });
    both.held.set('sku-02000', { version: 5, deleted: true });
    both.rows.set('sku-00100', { version: 9_000, active: false });
    both.rows.delete('sku-00200');
    const { run, recorded, metrics, asked } = reconcilerOf(both);
    expect(await run(false)).toMatchObject({ found: { missing: 2, behind: 1, ghost: 2, ahead: 0 }, remaining: 5, repaired: 0 });
    expect(await metrics.getSingleMetricAsString('sync_drift_docs')).toContain('} 5');
    expect(asked.versions).toBeLessThan(30);
    const mended = await run(true);
    expect(mended).toMatchObject({ found: { missing: 2, behind: 1, ghost: 2, ahead: 0 }, remaining: 0, repaired: 5 });
    expect(mended.examples.map(({ sku, kind }) => [sku, kind])).toEqual(expect.arrayContaining([['sku-00007', 'missing'], ['sku-01500', 'behind'], ['sku-00100', 'ghost'], ['sku-00200', 'ghost']]));
    expect(await run(true)).toMatchObject({ remaining: 0, repaired: 0 });
    expect(await metrics.getSingleMetricAsString('sync_drift_docs')).toContain('} 0');
    expect(recorded).toHaveLength(3);
    expect([both.held.get('sku-00100'), both.held.get('sku-00200')?.deleted]).toEqual([{ version: 9_000, deleted: true }, true]);
  });

  it('calls a store ahead whose database was restored to an earlier state, and does not pretend to mend it', async () => {
    const both = pair();
    both.held.set('sku-00001', { version: 2_000_000, deleted: false });
    both.held.set('sku-new', { version: 2_000_001, deleted: false });
    const { run } = reconcilerOf(both);
    expect(await run(true)).toMatchObject({ found: { ahead: 2, missing: 0, behind: 0, ghost: 0 }, repaired: 0, remaining: 2 });
  });

  it('takes what arrives while it settles for no drift', async () => {
    const both = pair();
    both.rows.set('sku-00500', { version: 50_000, active: true });
    both.held.delete('sku-00501');
    const { run } = reconcilerOf(both, { settle: async () => { both.held.set('sku-00500', { version: 50_000, deleted: false }); return true; } });
    expect(await run(true)).toMatchObject({ found: { missing: 1, behind: 0 }, repaired: 1, remaining: 0 });
  });

  it('takes changes that come after its look for no drift, in either direction', async () => {
    const both = pair();
    const { run } = reconcilerOf(both, {
      settle: async () => {
        // Changed once more, and not yet taken in; and taken in after the look.
        both.rows.set('sku-00500', { version: 50_002, active: true });
        both.rows.set('sku-00600', { version: 50_003, active: true });
        both.held.set('sku-00600', { version: 50_003, deleted: false });
        both.held.set('sku-00500', { version: 50_000, deleted: false });
        return true;
      },
    });
    both.rows.set('sku-00500', { version: 50_000, active: true });
    expect(await run(true)).toMatchObject({ found: { missing: 0, behind: 0, ghost: 0, ahead: 0 }, remaining: 0 });
  });

  it('neither counts nor mends what a consumer with a backlog has not got to', async () => {
    const both = pair();
    both.held.delete('sku-00007');
    const { run } = reconcilerOf(both, { settle: async () => false });
    expect(await run(true)).toMatchObject({ found: { missing: 0 }, inFlight: 1, repaired: 0, remaining: 0 });
    expect(both.held.has('sku-00007')).toBe(false);
  });

  it('leaves what the store refuses to be told as drift', async () => {
    const both = pair();
    both.held.delete('sku-00007');
    const { store } = memoryStore(both.held);
    const { run } = reconcilerOf(both, { target: async () => ({ name: 'products-1', store, repair: async () => undefined }) });
    expect(await run(true)).toMatchObject({ found: { missing: 1 }, repaired: 0, remaining: 1 });
  });

  it('fills an empty store and empties one that should be, in bounded groups', async () => {
    const both = pair(120_000);
    both.held.clear();
    let largest = 0;
    const { store, apply } = memoryStore(both.held);
    const { run } = reconcilerOf(both, { target: async () => ({ name: 'products-1', store, repair: async (changes) => { largest = Math.max(largest, changes.length); await apply(changes); } }) });
    expect(await run(true)).toMatchObject({ found: { missing: 120_000 }, repaired: 120_000, remaining: 0 });
    expect(largest).toBeLessThanOrEqual(500);
    for (const row of both.rows.values()) Object.assign(row, { version: 900_000, active: false });
    expect(await run(true)).toMatchObject({ products: 0, stored: 120_000, found: { ghost: 120_000 }, repaired: 120_000, remaining: 0 });
  });

  it('says that it is busy, or that there is nothing to compare yet', async () => {
    const busy = reconcilerOf(pair(), { asLeader: async () => undefined });
    expect(await busy.reconciler.run({ repair: true })).toBe('busy');
    const absent = reconcilerOf(pair(), { target: async () => undefined });
    expect(await absent.reconciler.run({ repair: true })).toBe('absent');
  });
});

describe('the digest of versions', () => {
  const digestOf = (...entries: readonly [string, number][]): string => {
    const digest = createVersionDigest();
    for (const [sku, version] of entries) digest.add({ sku, version });
    return digest.hex;
  };
  it('does not depend on the order, and differs with each sku and each version', () => {
    expect(digestOf(['a', 1], ['b', 2])).toBe(digestOf(['b', 2], ['a', 1]));
    expect(new Set([digestOf(), digestOf(['a', 1]), digestOf(['a', 2]), digestOf(['b', 1]), digestOf(['a', 1], ['b', 2]), digestOf(['a', 2], ['b', 1]), digestOf(['a\n1', 1])]).size).toBe(7);
  });
});

describe('the order of skus', () => {
  it('is that of their UTF-8 bytes, beyond U+FFFF too', () => {
    const skus = ['', 'a', 'A', 'aa', 'é', 'đ', '\uffee', '\ue000', '😀', '😀a', '\ud7ff', 'z'];
    const byBytes = skus.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    expect(skus.toSorted(compareSkus)).toEqual(byBytes);
  });
});

describe('the regular comparison', () => {
  const done: Verification = { target: 'products-1', startedAt: '', finishedAt: new Date().toISOString(), products: 1, stored: 1, found: { missing: 0, behind: 0, ghost: 0, ahead: 0 }, inFlight: 0, repaired: 0, remaining: 0, examples: [] };
  const runsAfter = async (verification: Verification): Promise<number> => {
    const [runs, looked] = [{ count: 0 }, { count: 0 }];
    const last = async () => {
      looked.count += 1;
      return { ...verification, finishedAt: new Date().toISOString() };
    };
    const stop = reconcileRegularly({ reconciler: { run: async () => ((runs.count += 1), 'busy'), show: () => undefined }, last, everyMs: 5, logger });
    await eventually(() => looked.count >= 3);
    await stop();
    return runs.count;
  };
  it('is spared where one has just found no difference, but not where it left some: looking only must not put off the repair', async () => {
    expect(await runsAfter(done)).toBe(0);
    expect(await runsAfter({ ...done, remaining: 1 })).toBeGreaterThan(0);
    expect(await runsAfter({ ...done, inFlight: 1 })).toBeGreaterThan(0);
  });
});

describe('several instances', () => {
  it('show the last verification of any of them: what one has mended is no drift in the metrics of another', async () => {
    const both = pair(10);
    both.held.delete('sku-00007');
    let leads = true;
    const looking = reconcilerOf(both, { asLeader: async (work) => (leads ? { result: await work(new AbortController().signal) } : undefined) });
    const mending = reconcilerOf(both);
    await looking.run(false);
    leads = false;
    expect(await looking.metrics.getSingleMetricAsString('sync_drift_docs')).toContain('} 1');
    const mended = await mending.run(true);
    const stop = reconcileRegularly({ reconciler: looking.reconciler, last: async () => mended, everyMs: 5, logger });
    await eventually(async () => (await looking.metrics.getSingleMetricAsString('sync_drift_docs')).includes('} 0'));
    await stop();
    expect(await looking.metrics.getSingleMetricAsString('sync_verified_timestamp_seconds')).toContain(`} ${Date.parse(mended.finishedAt) / 1_000}`);
    expect(await looking.metrics.getSingleMetricAsString('sync_drift_repaired_total')).not.toContain('} 1');
  });
});

describe('settling', () => {
  it('waits until the group has no backlog, and gives up in the end', async () => {
    const lags = [3, 1, 0];
    expect(await createSettle({ lag: async () => ({ messages: lags.shift() ?? 0, oldestAgeMs: 60_000 }), graceMs: 1, maxMs: 5_000, pollMs: 1 })()).toBe(true);
    expect(lags).toEqual([]);
    expect(await createSettle({ lag: async () => ({ messages: 1, oldestAgeMs: 60_000 }), graceMs: 1, maxMs: 10, pollMs: 1 })()).toBe(false);
  });
  it('is over under steady load, once all that was there when it began is acknowledged', async () => {
    expect(await createSettle({ lag: async () => ({ messages: 5, oldestAgeMs: 2 }), graceMs: 20, maxMs: 5_000, pollMs: 1 })()).toBe(true);
    expect(await createSettle({ lag: async () => ({ messages: 5, oldestAgeMs: 60_000 }), graceMs: 20, maxMs: 50, pollMs: 1 })()).toBe(false);
  });
  it('counts a bus that cannot be asked as a backlog, and stops when aborted', async () => {
    expect(await createSettle({ lag: async () => Promise.reject(new Error('down')), graceMs: 1, maxMs: 10, pollMs: 1 })()).toBe(false);
    await expect(createSettle({ lag: async () => ({ messages: 1, oldestAgeMs: 60_000 }), graceMs: 1, maxMs: 60_000, pollMs: 1 })(AbortSignal.timeout(20))).rejects.toThrow();
  });
});
