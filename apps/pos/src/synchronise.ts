import type { PosCounts, PosDiff, PosProblem } from '@millrace/contracts';
import { formatPosTime, parsePosTime } from '@millrace/kiotviet';
import type { Kiotviet, PosOnHand, PosPage, PosProduct } from '@millrace/kiotviet';
import type { Lease } from '@millrace/redis-kit';
import { OVERLAP_MS, nextPosition } from './next-position.ts';
import { readCursor, saveProgress } from './run.repository.ts';
import type { Cursor, OpenRun, Position } from './run.repository.ts';
import { takeStock } from './take-stock.ts';
import { noCounts, takeOver } from './take-over.ts';
import type { Outcome, TakeOverDeps } from './take-over.ts';

export interface SyncDeps extends TakeOverDeps {
  readonly kiotviet: Kiotviet;
}

const PAGE = 100;
const SHOWN_CHANGES = 200;
const SHOWN_PROBLEMS = 20;
/** Before everything. */
const EVER = Date.UTC(2000, 0, 1);

export const addCounts = (a: PosCounts, b: PosCounts): PosCounts => ({
  read: a.read + b.read, created: a.created + b.created, updated: a.updated + b.updated, unchanged: a.unchanged + b.unchanged, deleted: a.deleted + b.deleted, archived: a.archived + b.archived, kept: a.kept + b.kept, refused: a.refused + b.refused,
});

/** Times that are further ahead are garbage, or the clocks differ: a cursor that follows one would pass over all that comes before it. */
const AHEAD_MS = 300_000;
/** How much the clocks may differ where ours has to be used. */
const SKEW_MS = 600_000;

function timeOf({ modifiedDate, createdDate }: { readonly modifiedDate?: string | null | undefined; readonly createdDate?: string | null | undefined }): number | undefined {
  const time = parsePosTime(modifiedDate) ?? parsePosTime(createdDate);
  return time !== undefined && time <= Date.now() + AHEAD_MS ? time : undefined;
}
const since = (from: number | null) => (from === null ? {} : { lastModifiedFrom: formatPosTime(from) });
const order = { pageSize: PAGE, orderBy: 'modifiedDate', orderDirection: 'ASC' } as const;

/** Items of one run that were taken over already, by their time: pages overlap. */
function unseen<T extends { readonly id: number; readonly modifiedDate?: string | null | undefined }>(seen: Map<string, string>, phase: string, items: readonly T[]): T[] {
  return items.filter((item) => {
    const [name, time] = [`${phase} ${item.id}`, item.modifiedDate ?? ''];
    if (time !== '' && seen.get(name) === time) return false;
    seen.set(name, time);
    return true;
  });
}

interface Walk {
  readonly deps: SyncDeps;
  /** Undefined: a dry run. */
  readonly fence: number | undefined;
  readonly isFull: boolean;
  readonly throwIfLost: () => void;
  readonly onPage: (outcome: Outcome, position: Position, cursor: Cursor) => Promise<void>;
}

interface Phase {
  readonly name: Position['phase'];
  readonly read: (position: Position) => Promise<{ page: PosPage<PosProduct | PosOnHand>; outcome: Outcome; isNews: boolean }>;
  readonly cursor: (newest: number | null) => Cursor;
}

function phasesOf({ deps, fence }: Walk): readonly Phase[] {
  const { kiotviet } = deps;
  const seen = new Map<string, string>();
  return [
    {
      name: 'products', cursor: (products) => ({ products, stock: null }),
      async read({ from, offset }) {
        const page = await kiotviet.list('products', { ...order, ...since(from), currentItem: offset, includeInventory: true, includeRemoveIds: true }, 'sync');
        const products = unseen(seen, 'products', page.data);
        return { page, outcome: await takeOver(deps, { products, unreadable: page.unreadable, removedIds: page.removedIds }, fence), isNews: products.length > 0 };
      },
    },
    {
      name: 'stock', cursor: (stock) => ({ products: null, stock }),
      async read({ from, offset }) {
        const page = await kiotviet.list('onHands', { ...order, ...since(from), currentItem: offset }, 'sync');
        const items = unseen(seen, 'stock', page.data);
        return { page, outcome: await takeStock(deps, items, fence), isNews: items.length > 0 };
      },
    },
  ];
}

async function walkPhase({ throwIfLost, onPage }: Walk, { name, read, cursor }: Phase, first: Position): Promise<void> {
  for (let position: Position | undefined = first; position !== undefined; ) {
    throwIfLost();
    const { page, outcome, isNews } = await read(position);
    const times = page.data.map(timeOf);
    const newest: number | null = [position.newest, ...times].reduce<number | null>((most, time) => (time === null || time === undefined || (most !== null && most >= time) ? most : time), null);
    const count = page.data.length + page.unreadable.length;
    const next = nextPosition(position, { times, count, total: page.total, isFull: count >= PAGE, isNews });
    // Until the end only what lies before `from` is complete.
    await onPage(outcome, { phase: name, from: next?.from ?? position.from, offset: next?.offset ?? position.offset, newest }, cursor(next ? next.from : newest));
    position = next && { phase: name, ...next, newest };
  }
}

/** Products that changed, then stock that changed by itself; each from where it was left. */
async function walk(options: Walk, start: Position | undefined): Promise<void> {
  const { deps, fence, isFull } = options;
  const startMs = Date.now();
  const cursor = await readCursor(deps.pool);
  const begin = (at: number | null): number | null => (at === null || isFull ? null : at - OVERLAP_MS);
  for (const phase of phasesOf(options)) {
    if (start?.phase === 'stock' && phase.name === 'products') continue;
    // The first time products bring their stock themselves.
    const known = phase.name === 'stock' ? (cursor.stock ?? Math.min(cursor.products ?? Infinity, startMs - SKEW_MS)) : cursor.products;
    await walkPhase(options, phase, start?.phase === phase.name ? start : { phase: phase.name, from: phase.name === 'stock' ? (known ?? startMs) - OVERLAP_MS : begin(known), offset: 0, newest: null });
    if (phase.name === 'products' && isFull) {
      const { removedIds } = await deps.kiotviet.list('products', { ...since(EVER), pageSize: 1, includeRemoveIds: true }, 'sync');
      const outcome = await takeOver(deps, { products: [], removedIds }, fence);
      await options.onPage(outcome, { phase: 'stock', from: (cursor.stock ?? startMs - SKEW_MS) - OVERLAP_MS, offset: 0, newest: null }, { products: null, stock: null });
    }
  }
}

/** Goes through a run to its end, from where it was broken off. Rejects with why it could not: what was taken over stays, and the next run goes on there. */
export async function synchronise(deps: SyncDeps, run: OpenRun, { fencingNumber: fence, signal }: Pick<Lease, 'fencingNumber' | 'signal'>): Promise<void> {
  let { counts } = run;
  let problems: readonly PosProblem[] = run.problems;
  const onPage: Walk['onPage'] = async (outcome, position, cursor) => {
    counts = addCounts(counts, outcome.counts);
    problems = [...problems, ...outcome.problems].slice(0, SHOWN_PROBLEMS);
    await saveProgress(deps.pool, fence, run.id, { position, counts, problems, cursor });
  };
  await walk({ deps, fence, isFull: run.isFull, throwIfLost: () => signal.throwIfAborted(), onPage }, run.position);
}

/** What a run would do now. Reads everything that a run would read, and writes nothing. */
export async function differ(deps: SyncDeps, isFull: boolean): Promise<PosDiff> {
  let counts = noCounts;
  const changes: PosDiff['changes'] = [];
  const problems: PosProblem[] = [];
  let isCut = false;
  const onPage: Walk['onPage'] = async (outcome) => {
    counts = addCounts(counts, outcome.counts);
    isCut ||= changes.length + outcome.changes.length > SHOWN_CHANGES;
    changes.push(...outcome.changes.slice(0, SHOWN_CHANGES - changes.length));
    problems.push(...outcome.problems.slice(0, SHOWN_PROBLEMS - problems.length));
  };
  await walk({ deps, fence: undefined, isFull, throwIfLost: () => undefined, onPage }, undefined);
  return { dry_run: true, counts, changes, truncated: isCut, problems };
}
