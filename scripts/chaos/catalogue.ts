// npm run chaos -- catalogue [ROUNDS]: kill -9 of a random app (and now and then Redis) in the middle of an import, again and again, with a rebuild of a
// store in every third round; after each round all three stores must agree, and at the end a verification must find no drift that it would have to mend. Prints the seed: the same seed kills in the same order.
import { parseArgs } from 'node:util';
import { eventually } from '@millrace/testing/eventually';
import { median, percentile, row } from '../bench/support/measure.ts';
import type { BenchRow } from '../bench/support/measure.ts';
import { verifyStores } from '../../libs/contracts/src/index.ts';
import { ndjson, startPlane } from '../test/support/plane.ts';
import type { Plane } from '../test/support/plane.ts';
import { createRandom, pick } from './support/random.ts';

const victims = ['gateway', 'catalog-api', 'embedding-worker', 'es-sync-worker', 'redis'] as const;
const stores = ['search', 'vectors'] as const;
const PRODUCTS = 2_000;

/** In the name of an operator; refused where one runs already. */
async function startRebuild(plane: Plane, store: (typeof stores)[number], started: string[]): Promise<void> {
  const { status, body } = await plane.call('POST', '/api/admin/rebuilds', { store });
  if (status === 202) started.push(String(body['id']));
}

const endOf = (plane: Plane, ids: readonly string[]): Promise<string[]> =>
  Promise.all(ids.map((id) => eventually(async () => {
    const { body } = await plane.call('GET', `/api/admin/rebuilds/${id}`);
    return body['finished_at'] !== null && String(body['phase']);
  }, { timeoutMs: 120_000, everyMs: 200 })));

export async function run(args: readonly string[]): Promise<BenchRow[]> {
  const { values, positionals } = parseArgs({ args: [...args], options: { seed: { type: 'string' } }, allowPositionals: true });
  const rounds = Number(positionals[0] ?? 20);
  const seed = Number(values.seed ?? Date.now() % 1_000_000);
  console.error(`seed ${seed}, ${rounds} rounds`);
  const random = createRandom(seed);
  // What a verification would mend by itself must be seen.
  const plane = await startPlane({ RECONCILE_INTERVAL_MS: '0', SYNC_SWEEP_INTERVAL_MS: '3600000' });
  const kills = new Map<string, number>();
  const recovery: number[] = [];
  const rebuilds: string[] = [];
  try {
    for (let round = 0; round < rounds; round += 1) {
      const victim = pick(random, victims) ?? 'catalog-api';
      const before = (await plane.truth()).size;
      const products = Array.from({ length: PRODUCTS }, (_, n) => ({ sku: `chaos-${round % 3}-${n}`, name: `Round ${round} product ${n}`, category: `c${n % 9}`, price: 1 + round }));
      const importing = plane.import(ndjson(products)).catch((error: unknown) => error);
      if (round % 3 === 2) await startRebuild(plane, pick(random, stores) ?? 'search', rebuilds);
      await eventually(async () => (await plane.truth()).size > before || round >= 3, { everyMs: 2 });
      const startMs = performance.now();
      if (victim === 'redis') {
        await plane.stack.redis.kill();
        await plane.stack.redis.restart();
      } else {
        await plane.stack.app(victim).kill('SIGKILL');
        await plane.stack.app(victim).restart();
      }
      await importing;
      await plane.agrees(60_000);
      recovery.push(performance.now() - startMs);
      kills.set(victim, (kills.get(victim) ?? 0) + 1);
    }
    const ended = await endOf(plane, rebuilds);
    const { stores: verified } = (await plane.client.call(verifyStores, { body: {} })).body;
    const { size } = await plane.truth();
    return [
      ...[...kills].map(([victim, count]) => row(`kill -9 of ${victim}`, count, { unit: 'times' })),
      row('rounds after which all stores were equal', recovery.length, { unit: `of ${rounds}`, atLeast: rounds }),
      row('products at the end', size, { unit: 'products' }),
      row('rebuilds that went live', ended.filter((phase) => phase === 'done').length, { unit: `of ${rebuilds.length}`, atLeast: rebuilds.length }),
      ...verified.map(({ store, verification }) => row(`drift of ${store} at the end`, verification?.remaining ?? Number.NaN, { unit: 'products', atMost: 0 })),
      row('from the kill to all stores equal, p50', median(recovery), { unit: 'ms' }),
      row('from the kill to all stores equal, p99', percentile(recovery, 0.99), { unit: 'ms' }),
    ];
  } finally {
    await plane.stop();
  }
}
