// npm run bench -- catalogue: the catalogue plane as a whole, on servers and processes of its own.
import { run as benchEmbedding } from './embedding.ts';
import { run as benchOutbox } from './outbox.ts';
import { run as benchSync } from './sync.ts';
import { msOf, row } from './support/measure.ts';
import type { BenchRow } from './support/measure.ts';
import { benchGateway, benchVisible, importAll, realStream, sampleStream, untilFound } from './support/plane.ts';
import { onAStack } from './support/stack.ts';
import { benchUpsert } from './support/upsert.ts';

export async function run(): Promise<BenchRow[]> {
  const rows: BenchRow[] = [];
  const note = (what: string): void => console.error(`${(performance.now() / 1_000).toFixed(1)} s: ${what}`);
  const real = realStream();
  rows.push(...(await onAStack('bench-real', {}, async (stack) => {
    const seconds = (await msOf(async () => {
      await importAll(stack, real.stream, real.query);
      await untilFound(stack, real.count);
    })) / 1_000;
    note(`${real.name} imported and found in ${seconds.toFixed(1)} s`);
    return [row(`import of ${real.name} (${real.count}) until found in search and vectors`, seconds, { unit: 's', atMost: 25 }), ...(await benchGateway(stack, real.name)), ...(await benchVisible(stack))];
  })));
  rows.push(...(await benchSync()));
  note('sync measured');
  const node = process.env['TEST_ELASTICSEARCH_URL'];
  if (node !== undefined && node !== '') rows.push(...(await onAStack('bench-elasticsearch', { SEARCH_ENGINE: 'elasticsearch', ELASTICSEARCH_URL: node, ELASTICSEARCH_INDEX: `bench-plane-${process.pid}` }, async (stack) => {
    await importAll(stack, sampleStream(2_000));
    await untilFound(stack, 2_000);
    const [p50] = await benchVisible(stack);
    return p50 ? [row('write to visible in search, p50, Elasticsearch', p50.value, { unit: 'ms', atMost: 400 })] : [];
  })));
  note('upsert, outbox, embedding');
  rows.push(await benchUpsert(), ...(await benchOutbox()), ...(await benchEmbedding()));
  return rows;
}
