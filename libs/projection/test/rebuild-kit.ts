import type { RebuildReason } from '@millrace/contracts';
import { createLogger } from '@millrace/service';
import { createLane, createRebuilds } from '../src/index.ts';
import type { ReadExport, RebuildJob, RebuildJournal, Rebuilds, RebuildStore } from '../src/index.ts';
import { changeOf, memorySource, memoryStore } from './support.ts';
import type { Row } from './support.ts';

type Held = Map<string, { version: number; deleted: boolean }>;

/** A catalogue and a store with named targets, in memory; they outlive the runners that die. */
export function createWorld() {
  const rows = new Map<string, Row & { at: number }>();
  let clock = 0;
  const write = (sku: string, version: number, active = true): void => void rows.set(sku, { version, active, at: (clock += 1) });
  const stamp = (at: number): string => new Date(at).toISOString();
  const { source } = memorySource(rows);
  const read: { since: string | undefined; after: string | undefined; rows: number }[] = [];
  const beforeRow: { run: ((sku: string) => void) | undefined } = { run: undefined };
  /** As catalog-api's: by (time, sku), with cursors, watermark before the rows. */
  const readExport: ReadExport = async ({ updatedSince, batchSize, from, signal }, onBatch) => {
    const watermark = from?.watermark ?? stamp(clock + 1);
    const pass = { since: updatedSince, after: from?.after, rows: 0 };
    read.push(pass);
    let after = Number(from?.after ?? -1);
    for (;;) {
      signal?.throwIfAborted();
      const page = [...rows].filter(([, row]) => row.at > after && (updatedSince === undefined || row.at >= Date.parse(updatedSince))).toSorted((a, b) => a[1].at - b[1].at).slice(0, batchSize);
      if (page.length === 0) return { watermark, rows: pass.rows };
      for (const [sku] of page) beforeRow.run?.(sku);
      after = page.at(-1)?.[1].at ?? after;
      pass.rows += page.length;
      await onBatch(page.map(([sku, row]) => changeOf(sku, row)), { after: String(after), watermark });
    }
  };
  const targets = new Map<string, Held>();
  const state: { live: string | undefined; due: RebuildReason | undefined; definition: number; made: number; swaps: string[]; losing: Set<string>; refusing: Set<string>; golden: boolean } = {
    live: undefined, due: undefined, definition: 1, made: 0, swaps: [], losing: new Set(), refusing: new Set(), golden: true,
  };
  const definitions = new Map<string, number>();
  const held = (target: string): Held => {
    const found = targets.get(target);
    if (!found) throw new Error(`${target} does not exist`);
    return found;
  };
  const store: RebuildStore = {
    name: 'search',
    live: async () => state.live,
    due: async () => state.due,
    canResume: async (target) => targets.has(target) && definitions.get(target) === state.definition,
    isThere: async (target) => targets.has(target),
    create: async () => {
      const name = `t-${(state.made += 1)}`;
      targets.set(name, new Map());
      definitions.set(name, state.definition);
      return name;
    },
    fill: async (target, changes) => {
      await memoryStore(held(target)).apply(changes.filter(({ sku }) => !state.losing.has(sku) && !state.refusing.has(sku)));
      return changes.map(({ sku }) => sku).filter((sku) => state.refusing.has(sku));
    },
    versions: (target) => memoryStore(held(target)).store,
    ask: async () => [{ check: 'golden queries', passed: state.golden, detail: state.golden ? 'found' : 'lamp is not found' }],
    swap: async (target) => {
      held(target);
      state.live = target;
    },
    swapped: async (target) => void state.swaps.push(target),
    drop: async (target) => void (target === state.live || targets.delete(target)),
    dropOthers: async (keep) => {
      for (const name of targets.keys()) if (name !== state.live && !keep.includes(name)) targets.delete(name);
    },
  };
  const truth = (): Record<string, number> => Object.fromEntries([...rows].filter(([, row]) => row.active).map(([sku, { version }]) => [sku, version]));
  const found = (target = state.live): Record<string, number> => Object.fromEntries([...(target === undefined ? [] : held(target))].filter(([, { deleted }]) => !deleted).map(([sku, { version }]): [string, number] => [sku, version]));
  return { rows, write, read, beforeRow, source, readExport, store, state, targets, truth, found, live: async (sku: string, row: Row) => memoryStore(held(state.live ?? '')).apply([changeOf(sku, row)]) };
}
export type World = ReturnType<typeof createWorld>;

/** Every call of every port counts; from the n-th on the process is dead: nothing it does has an effect any more. */
export function mortal(deathAt: number) {
  let calls = 0;
  const alive = (): void => {
    calls += 1;
    if (calls >= deathAt) throw new Error('killed');
  };
  const wrap = <T extends object>(port: T): T =>
    new Proxy(port, {
      get: (object, key) => {
        const value: unknown = Reflect.get(object, key);
        if (typeof value !== 'function' || key === 'versions') return value;
        return async (...args: unknown[]) => {
          alive();
          return Reflect.apply(value, object, args) as unknown;
        };
      },
    });
  return { wrap, isDead: () => calls >= deathAt, alive };
}

export interface RunnerOptions { readonly journal: RebuildJournal; readonly batchSize?: number; readonly deathAt?: number; readonly lead?: () => Promise<boolean> }

/** One instance of the worker. */
export function startRunner(world: World, { journal, batchSize = 10, deathAt = Infinity, lead = async () => true }: RunnerOptions): Rebuilds & { readonly isDead: () => boolean } {
  const { wrap, isDead, alive } = mortal(deathAt);
  const readExport: ReadExport = (options, onBatch) =>
    world.readExport(options, async (changes, behind) => {
      alive();
      await onBatch(changes, behind);
    });
  const rebuilds = createRebuilds({
    journal: wrap(journal), store: wrap(world.store), readExport, source: world.source, lane: createLane({ idleRows: 5, busyRows: 2 }), logger: createLogger('test', 'silent'),
    asLeader: async (work) => ((await lead()) ? { result: await work(new AbortController().signal) } : undefined),
    batchSize, everyMs: 50, keepHours: 24,
  });
  return { ...rebuilds, isDead };
}

export const finished = (job: RebuildJob): boolean => job.finishedAt !== null;
