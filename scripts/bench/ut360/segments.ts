import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { campaignSegment } from '@millrace/contracts';
import { qualified, readPointer } from '@millrace/subscribers';
import { eventually } from '@millrace/testing/eventually';
import type { Pool } from 'pg';
import { Pool as HttpPool } from 'undici';
import { z } from 'zod';
import { alternate, median, msOf, percentile, row } from '../support/measure.ts';
import type { BenchRow } from '../support/measure.ts';

const COUNTS = 301;
const CAMPAIGNS = 201;

const countSchema = z.object({ count: z.int(), total: z.int(), freshness: z.object({ recommendation: z.object({ source: z.string() }) }) });
const startedSchema = z.object({ port: z.int() });
const WHERE = `bad_debt_risk = 'LOW' and customer_value_score >= 70 and advance_readiness_score >= 80`;
/** Every kind of condition, over six columns. */
const wide = {
  or: [
    campaignSegment.query,
    { and: [{ field: 'service_type', op: 'in', value: ['DATA_ADVANCE', 'COMBO_ADVANCE'] }, { not: { field: 'cluster_group', op: 'eq', value: '0' } }, { field: 'arpu_avg_6m', op: 'between', value: [150, 600] }] },
    { and: [{ field: 'subscriber_type', op: 'eq', value: 'POSTPAID' }, { not: { field: 'priority_score', op: 'lt', value: 50 } }] },
  ],
};

export interface SegmentBench {
  readonly databaseUrl: string;
  readonly redisUrl: string;
  /** Of the same database. */
  readonly pool: Pool;
}

interface Server {
  count(query: unknown): Promise<z.output<typeof countSchema>>;
  /** Its rows; the time ends with the last byte. */
  exportCampaign(): Promise<number>;
  close(): Promise<void>;
}

async function start({ databaseUrl, redisUrl }: SegmentBench): Promise<Server> {
  const child = fork(fileURLToPath(new URL('segment-server.ts', import.meta.url)), [databaseUrl, redisUrl]);
  const ended = once(child, 'exit').then(([code]) => { throw new Error(`the server ended with ${String(code)}`); });
  const [message]: unknown[] = await Promise.race([once(child, 'message'), ended]);
  ended.catch(() => undefined);
  const http = new HttpPool(`http://127.0.0.1:${startedSchema.parse(message).port}`, { connections: 4, pipelining: 1 });
  const headers = { authorization: 'Bearer t', 'content-type': 'application/json' };
  return {
    async count(query) {
      const { body } = await http.request({ method: 'POST', path: '/api/ut360/segments/preview', headers, body: JSON.stringify({ query }) });
      return countSchema.parse(await body.json());
    },
    async exportCampaign() {
      const { body, statusCode } = await http.request({ method: 'GET', path: '/api/ut360/segments/1/export', headers });
      const text = await body.text();
      if (statusCode !== 200) throw new Error(`the export was answered ${statusCode}`);
      return text.split('\n').length - 2;
    },
    async close() {
      await http.close();
      child.kill();
      await ended.catch(() => undefined);
    },
  };
}

/** At the service's own port, one after the other; beside the same question to Postgres, which is what answers while the copy is read. */
export async function benchSegments(bench: SegmentBench): Promise<BenchRow[]> {
  const server = await start(bench);
  try {
    const table = qualified('recommendations', (await readPointer(bench.pool)).recommendations);
    await eventually(async () => (await server.count(campaignSegment.query)).freshness.recommendation.source === 'memory', { timeoutMs: 60_000 });
    const { count, total } = await server.count(campaignSegment.query);
    const { count: wider } = await server.count(wide);
    const rows = await server.exportCampaign();
    const counted = await alternate(COUNTS, () => msOf(() => server.count(campaignSegment.query)), () => msOf(() => bench.pool.query(`select count(*) from ${table} where ${WHERE}`)));
    const widely: number[] = [];
    for (let run = 0; run < COUNTS; run += 1) widely.push(await msOf(() => server.count(wide)));
    const ask = (): Promise<unknown> => bench.pool.query({ text: `select ${campaignSegment.columns.join(', ')} from ${table} where ${WHERE} order by priority_score desc nulls last, isdn limit 10000`, rowMode: 'array' });
    const campaign = await alternate(CAMPAIGNS, () => msOf(() => server.exportCampaign()), () => msOf(ask));
    return [
      row(`count of a segment (${count} of ${total}), p50, beside count(*) by Postgres`, median(counted.a), { unit: 'ms', baseline: median(counted.b), ratio: counted.ratio }),
      row('count of a segment, p99', percentile(counted.a, 0.99), { unit: 'ms', atMost: 20 }),
      row(`count with nine conditions (${wider}), p99`, percentile(widely, 0.99), { unit: 'ms', atMost: 20 }),
      row(`campaign of ${rows} as CSV, p50, beside its query to Postgres`, median(campaign.a), { unit: 'ms', baseline: median(campaign.b), ratio: campaign.ratio }),
      row(`campaign of ${rows} as CSV, p99`, percentile(campaign.a, 0.99), { unit: 'ms', atMost: 100 }),
    ];
  } finally {
    await server.close();
  }
}
