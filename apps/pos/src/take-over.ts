import type { PosChange, PosCounts, PosProblem } from '@millrace/contracts';
import type { PosProduct, Unreadable } from '@millrace/kiotviet';
import { AppError } from '@millrace/service';
import type { Pool } from 'pg';
import type { Catalogue } from './catalogue.ts';
import { findLinks, findTaken, noteIntents, settleLinks } from './link.repository.ts';
import type { Link } from './link.repository.ts';
import { baseOf, mapProducts, planProducts, planRemoval } from './plan-products.ts';
import type { Plan, World } from './plan-products.ts';
import type { CatalogueRules, Wanted } from './to-catalogue.ts';

export interface TakeOverDeps {
  readonly pool: Pool;
  readonly catalogue: Catalogue;
  readonly rules: CatalogueRules;
}

export interface Batch {
  readonly products: readonly PosProduct[];
  readonly unreadable?: readonly Unreadable[];
  readonly removedIds?: readonly number[];
}

export interface Outcome {
  readonly counts: PosCounts;
  readonly problems: readonly PosProblem[];
  readonly changes: readonly PosChange[];
}

export const noCounts: PosCounts = { read: 0, created: 0, updated: 0, unchanged: 0, deleted: 0, archived: 0, kept: 0, refused: 0 };
/** Somebody else edits the very same products over and over. */
const ROUNDS = 5;
/** Of removed ids in one step, and of changes in one call. */
const PORTION = 500;
/** A product with another sku than before is two changes. */
const RENAMED_PORTION = PORTION / 2;

interface Work { readonly wanted: ReadonlyMap<number, Wanted>; readonly removed: readonly number[] }

/** Products that must go: reported as removed, or renamed, so that their old sku is nobody's. */
async function findGone({ pool }: TakeOverDeps, { wanted, removed }: Work, links: ReadonlyMap<number, Link>): Promise<readonly Link[]> {
  const renamed = [...wanted].flatMap(([posId, { sku }]) => {
    const link = links.get(posId);
    return link && !link.isRemoved && link.sku !== sku ? [link] : [];
  });
  const gone = [...removed.flatMap((posId) => links.get(posId) ?? []).filter(({ isRemoved, posId }) => !isRemoved && !wanted.has(posId)), ...renamed];
  const taken = await findTaken(pool, gone.map(({ sku }) => sku), gone.map(({ posId }) => posId));
  const skus = new Set([...wanted.values()].map(({ sku }) => sku));
  return gone.filter(({ sku }) => !taken.has(sku) && !skus.has(sku));
}

async function makePlans(deps: TakeOverDeps, work: Work): Promise<readonly Plan[]> {
  const links = await findLinks(deps.pool, [...work.wanted.keys(), ...work.removed]);
  const gone = await findGone(deps, work, links);
  const skus = [...new Set([...[...work.wanted.values()].map(({ sku }) => sku), ...gone.map(({ sku }) => sku)])];
  const world: World = { links, products: await deps.catalogue.states(skus) };
  return [...gone.map((link) => planRemoval(link, world.products.get(link.sku))), ...planProducts(work.wanted, world)].toSorted((a, b) => (a.sku < b.sku ? -1 : 1));
}

const addTo = (counts: PosCounts, plan: Plan): PosCounts => {
  const action = plan.shown?.action;
  const field = action === undefined ? 'unchanged' : ({ create: 'created', update: 'updated', delete: 'deleted', archive: 'archived' } as const)[action];
  const isCounted = plan.wanted !== undefined || action !== undefined;
  return { ...counts, ...(isCounted && { [field]: counts[field] + 1 }), kept: counts.kept + (plan.kept.length > 0 ? 1 : 0) };
};

interface Round { readonly done: readonly Plan[]; readonly moved: readonly Plan[]; readonly problems: readonly PosProblem[] }

/** Intent, effect, settlement: whoever is killed in between finds its own work again. */
async function execute({ pool, catalogue }: TakeOverDeps, plans: readonly Plan[], fence: number): Promise<Round> {
  const changing = plans.filter(({ change }) => change !== undefined);
  const writes = changing.filter(({ wanted }) => wanted !== undefined);
  if (writes.length > 0) await noteIntents(pool, fence, writes.map((plan) => ({ posId: plan.posId, sku: plan.sku, createdHere: plan.change?.op === 'create', pending: baseOf(plan) })));
  const results = await catalogue.apply(fence, changing.flatMap(({ change }) => change ?? []));
  const moved = new Set<Plan>();
  const refused = new Set<Plan>();
  const problems: PosProblem[] = [];
  for (const [at, result] of results.entries()) {
    const plan = changing[at];
    if (!plan) continue;
    if (result.state === 'moved') moved.add(plan);
    if (result.state !== 'refused') continue;
    refused.add(plan);
    problems.push({ pos_id: plan.posId, sku: plan.sku, pointer: '', detail: `the catalogue refuses it: ${result.detail}` });
  }
  const done = plans.filter((plan) => !moved.has(plan) && !refused.has(plan));
  // A renamed product is settled once both of its skus are.
  const open = new Set([...moved].map(({ posId }) => posId));
  const settled = done.flatMap((plan) => (plan.wanted && !open.has(plan.posId) ? [{ posId: plan.posId, sku: plan.sku, createdHere: plan.change?.op === 'create', base: baseOf(plan) }] : []));
  const removed = done.filter(({ wanted, posId }) => wanted === undefined && !settled.some((one) => one.posId === posId)).map(({ posId }) => posId);
  await settleLinks(pool, fence, { settled, removed });
  return { done, moved: [...moved], problems };
}

const portions = <T>(items: readonly T[], size = PORTION): T[][] => Array.from({ length: Math.ceil(items.length / size) }, (_none, at) => items.slice(at * size, (at + 1) * size));

async function takeOverPart(deps: TakeOverDeps, first: Work, fence: number | undefined): Promise<{ plans: readonly Plan[]; problems: readonly PosProblem[] }> {
  const plans: Plan[] = [];
  const problems: PosProblem[] = [];
  let work = first;
  for (let round = 1; ; round += 1) {
    const made = await makePlans(deps, work);
    if (fence === undefined) return { plans: made, problems };
    const { done, moved, problems: refused } = await execute(deps, made, fence);
    plans.push(...done);
    problems.push(...refused);
    if (moved.length === 0) return { plans, problems };
    if (round === ROUNDS) throw new AppError('conflict', 'products are being edited in the catalogue faster than they can be taken over: try again', { headers: { 'Retry-After': '5' } });
    const again = new Set(moved.map(({ posId }) => posId));
    work = { wanted: new Map([...work.wanted].filter(([posId]) => again.has(posId))), removed: work.removed.filter((posId) => again.has(posId)) };
  }
}

/**
 * Makes the catalogue as the POS says, where the POS decides; without a fencing number (a dry run) only says what would be done. Safe to call again with the
 * same products, after a crash anywhere in it too. Throws LateWriterError where a later writer has taken over, upstream_unavailable, conflict.
 */
export async function takeOver(deps: TakeOverDeps, { products, unreadable = [], removedIds = [] }: Batch, fence: number | undefined): Promise<Outcome> {
  const { wanted, problems: unmapped } = mapProducts(products, deps.rules);
  const works: Work[] = [...portions([...wanted], RENAMED_PORTION).map((part) => ({ wanted: new Map(part), removed: [] })), ...portions(removedIds.filter((posId) => !wanted.has(posId))).map((removed) => ({ wanted: new Map<number, Wanted>(), removed }))].filter((work) => work.wanted.size > 0 || work.removed.length > 0);
  const problems: PosProblem[] = [...unreadable.map(({ id, pointer, detail }) => ({ pos_id: id, sku: null, pointer, detail })), ...unmapped];
  let counts = noCounts;
  const changes: PosChange[] = [];
  for (const work of works) {
    const part = await takeOverPart(deps, work, fence);
    problems.push(...part.problems);
    for (const plan of part.plans) {
      counts = addTo(counts, plan);
      if (plan.shown) changes.push(plan.shown);
    }
  }
  return { counts: { ...counts, read: products.length + unreadable.length, refused: problems.length }, problems, changes };
}
