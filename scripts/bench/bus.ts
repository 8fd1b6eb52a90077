// npm run bench -- bus, or: node scripts/bench/bus.ts with TEST_REDIS_URL. Every loop of the bus against the same loop by hand, and beside BullMQ; then every adapter beside each other, in one table.
import { benchEngines } from './bus/engines.ts';
import { benchJobs } from './bus/jobs.ts';
import { openLane } from './bus/lane.ts';
import { benchLatency } from './bus/latency.ts';
import { benchLongRun } from './bus/long-run.ts';
import { catalogueSample, changeSample } from './bus/sample.ts';
import { benchBatches, benchOneByOne } from './bus/throughput.ts';
import type { BenchRow } from './support/measure.ts';

const EVENTS = 10_000;
const PAIRS = 15;

/** `npm run bench -- bus engines`: only the adapters beside each other, about a minute. */
export async function run(args: readonly string[] = []): Promise<BenchRow[]> {
  if (args[0] === 'engines') return benchEngines();
  const changes = await openLane(changeSample(EVENTS));
  const products = await openLane(catalogueSample(EVENTS));
  try {
    return [
      ...(await benchBatches(changes, { name: 'flat events of 380 bytes', pairs: PAIRS, publishAtLeast: 0.9, consumeAtLeast: 0.7 })),
      ...(await benchBatches(products, { name: 'product:updates', pairs: PAIRS })),
      await benchOneByOne(changes),
      await benchLatency(),
      ...(await benchJobs(changes)),
      ...(await benchLongRun()),
      ...(await benchEngines()),
    ];
  } finally {
    await changes.close();
    await products.close();
  }
}

if (import.meta.main) console.table(await run());
