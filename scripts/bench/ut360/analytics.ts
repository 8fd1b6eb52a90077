import { storeAnalytics } from '@millrace/subscribers';
import type { Stores, Triple } from '@millrace/subscribers';
import { median, msOf, percentile, row } from '../support/measure.ts';
import type { BenchRow } from '../support/measure.ts';
import { start } from './lookup.ts';
import type { LookupBench } from './lookup.ts';

const ASKED = 500;
const COMPUTED = 3;

/** What a load does for analytics, seconds: all of it is between the checks and the switch. */
async function computeAgain({ pool }: Stores, generation: number): Promise<number> {
  const { rows: [triple] } = await pool.query<Triple>('select recommendations, profiles, arpu from ut360.generation_sets where redis = $1', [generation]);
  if (triple === undefined) throw new Error(`there is no generation ${generation}`);
  const client = await pool.connect();
  try {
    await client.query('delete from ut360.analytics where redis = $1', [generation]);
    return await msOf(() => storeAnalytics(client, { ...triple, redis: generation }));
  } finally {
    client.release();
  }
}

/** Both documents at the service's own port, one request after the other, after the first one; and what they cost a load. */
export async function benchAnalytics(stores: Stores, bench: LookupBench): Promise<BenchRow[]> {
  const computed: number[] = [];
  for (let at = 0; at < COMPUTED; at += 1) computed.push(await computeAgain(stores, bench.generation));
  const ours = await start('ours', bench);
  try {
    const firstMs = await ours.time('/api/ut360/analytics');
    const [services, arpu]: [number[], number[]] = [[], []];
    for (let at = 0; at < ASKED; at += 1) {
      services.push(await ours.time('/api/ut360/analytics'));
      arpu.push(await ours.time('/api/ut360/analytics/arpu'));
    }
    return [
      row('analytics by service and risk, p99', percentile(services, 0.99), { unit: 'ms', atMost: 100 }),
      row('analytics of ARPU by month and decile, p99', percentile(arpu, 0.99), { unit: 'ms', atMost: 100 }),
      row('analytics, the first answer of a process', firstMs, { unit: 'ms', atMost: 100 }),
      row('analytics, computed by a load (part of it)', median(computed) / 1_000, { unit: 's' }),
    ];
  } finally {
    await ours.close();
  }
}
