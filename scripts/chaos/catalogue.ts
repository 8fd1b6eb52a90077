// npm run chaos -- catalogue [ROUNDS]: kill -9 of a random app (and now and then Redis) in the middle of an import, again and again; after each
// round all three stores must agree. Prints the seed: the same seed kills in the same order.
import { parseArgs } from 'node:util';
import { eventually } from '@millrace/testing/eventually';
import { median, percentile, row } from '../bench/support/measure.ts';
import type { BenchRow } from '../bench/support/measure.ts';
import { ndjson, startPlane } from '../test/support/plane.ts';
import { createRandom, pick } from './support/random.ts';

const victims = ['gateway', 'catalog-api', 'embedding-worker', 'es-sync-worker', 'redis'] as const;
const PRODUCTS = 2_000;

export async function run(args: readonly string[]): Promise<BenchRow[]> {
  const { values, positionals } = parseArgs({ args: [...args], options: { seed: { type: 'string' } }, allowPositionals: true });
  const rounds = Number(positionals[0] ?? 20);
  const seed = Number(values.seed ?? Date.now() % 1_000_000);
  console.error(`seed ${seed}, ${rounds} rounds`);
  const random = createRandom(seed);
  const plane = await startPlane();
  const kills = new Map<string, number>();
  const recovery: number[] = [];
  try {
    for (let round = 0; round < rounds; round += 1) {
      const victim = pick(random, victims) ?? 'catalog-api';
      const before = (await plane.truth()).size;
      const products = Array.from({ length: PRODUCTS }, (_, n) => ({ sku: `chaos-${round % 3}-${n}`, name: `Round ${round} product ${n}`, category: `c${n % 9}`, price: 1 + round }));
      const importing = plane.import(ndjson(products)).catch((error: unknown) => error);
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
    const { size } = await plane.truth();
    return [
      ...[...kills].map(([victim, count]) => row(`kill -9 of ${victim}`, count, { unit: 'times' })),
      row('rounds after which all stores were equal', recovery.length, { unit: `of ${rounds}`, atLeast: rounds }),
      row('products at the end', size, { unit: 'products' }),
      row('from the kill to all stores equal, p50', median(recovery), { unit: 'ms' }),
      row('from the kill to all stores equal, p99', percentile(recovery, 0.99), { unit: 'ms' }),
    ];
  } finally {
    await plane.stop();
  }
}
