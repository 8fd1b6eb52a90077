import type { Redis } from '@millrace/redis-kit';
import type { Building } from './building.ts';
import { readHistory } from './count-changes.ts';
import type { CountKeys } from './count-keys.ts';

export const driftKinds = ['history', 'co_buy', 'co_view', 'baskets', 'buyers', 'rebuyers', 'views', 'trending', 'popular'] as const;
export type DriftKind = (typeof driftKinds)[number];
/** How far apart two sets of counts are, 0 = equal, 1 = nothing in common: the sum of the differences as a share of the larger sum. */
export type Drift = Readonly<Record<DriftKind, number>>;

/** Items that are compared, of each partition, from each side. */
const SAMPLED_ITEMS = 200;

type Values = ReadonlyMap<string, number>;
interface Sums { differences: number; total: number }

/** Compares the live counts with the new ones, for some users and items of either. */
export async function measureDrift(redis: Redis, { builds, users, buildOf }: { readonly builds: readonly Building[]; readonly users: readonly string[]; readonly buildOf: (userId: string) => Building }): Promise<Drift> {
  const sums = new Map<DriftKind, Sums>(driftKinds.map((kind) => [kind, { differences: 0, total: 0 }]));
  const add = (kind: DriftKind, live: Values, rebuilt: Values): void => {
    const of = sums.get(kind);
    if (of === undefined) return;
    for (const name of new Set([...live.keys(), ...rebuilt.keys()])) {
      const [a, b] = [live.get(name) ?? 0, rebuilt.get(name) ?? 0];
      of.differences += Math.abs(a - b);
      of.total += Math.max(a, b);
    }
  };
  for (const user of users) {
    const { live, target } = buildOf(user);
    add('history', await bought(redis, live, user), await bought(redis, target, user));
  }
  for (const { live, target } of builds) await compareItems(redis, { live, target, add });
  // Sums in another order end differently in their last digits.
  const share = ({ differences, total }: Sums): number => (total === 0 ? 0 : Math.round((differences / total) * 1e6) / 1e6);
  const of = (kind: DriftKind): number => share(sums.get(kind) ?? { differences: 0, total: 0 });
  return { history: of('history'), co_buy: of('co_buy'), co_view: of('co_view'), baskets: of('baskets'), buyers: of('buyers'), rebuyers: of('rebuyers'), views: of('views'), trending: of('trending'), popular: of('popular') };
}

interface Comparison { readonly live: CountKeys; readonly target: CountKeys; readonly add: (kind: DriftKind, live: Values, rebuilt: Values) => void }

async function compareItems(redis: Redis, { live, target, add }: Comparison): Promise<void> {
  const sampled = await Promise.all([live, target].flatMap((of) => (['baskets', 'views'] as const).map((counter) => sampleOf(redis, of.counter(counter)))));
  const skus = [...new Set(sampled.flat())];
  if (skus.length === 0) return;
  for (const counter of ['baskets', 'buyers', 'rebuyers', 'views'] as const) add(counter, await counted(redis, live.counter(counter), skus), await counted(redis, target.counter(counter), skus));
  for (const board of ['trending', 'popular'] as const) add(board, await weights(redis, live.board(board, null), skus), await weights(redis, target.board(board, null), skus));
  for (const list of ['co_buy', 'co_view'] as const)
    for (const sku of skus) add(list, await neighbours(redis, live.neighbours(list, sku)), await neighbours(redis, target.neighbours(list, sku)));
}

const sampleOf = async (redis: Redis, key: string): Promise<readonly string[]> => {
  const found = await redis.hrandfield(key, SAMPLED_ITEMS);
  return Array.isArray(found) ? found.map(String) : [];
};
const bought = async (redis: Redis, of: CountKeys, user: string): Promise<Values> => new Map(readHistory(await redis.get(of.user(user))).bought.map(({ sku, baskets }) => [sku, baskets]));
const paired = (names: readonly string[], values: readonly (string | null)[]): Values => new Map(names.map((name, at) => [name, Number(values[at] ?? 0)]));
const counted = async (redis: Redis, key: string, skus: readonly string[]): Promise<Values> => paired(skus, await redis.hmget(key, ...skus));
const weights = async (redis: Redis, key: string, skus: readonly string[]): Promise<Values> => paired(skus, await redis.zmscore(key, ...skus));

async function neighbours(redis: Redis, key: string): Promise<Values> {
  const flat = await redis.zrange(key, '0', '-1', 'WITHSCORES');
  return new Map(flat.flatMap((name, at): [string, number][] => (at % 2 === 0 ? [[name, Number(flat[at + 1])]] : [])));
}
