import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream, createWriteStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { connect } from 'node:net';
import { finished, pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { encodeCommand, masterNodes, scanKeys, sendByNode } from '@millrace/redis-kit';
import { loadDataset, qualified } from '@millrace/subscribers';
import type { Stores } from '@millrace/subscribers';
import { from as copyFrom } from 'pg-copy-streams';
import { z } from 'zod';
import { alternate, median, msOf, row } from '../support/measure.ts';
import type { BenchRow } from '../support/measure.ts';

const MB = 1_000_000;
type Paths = Readonly<Record<'recommendations' | 'profiles' | 'arpu', string>>;

/** What somebody does by hand: \copy into a new table of the same columns, then the key. Nothing is checked. */
async function copyByHand({ pool }: Stores, path: string): Promise<void> {
  const client = await pool.connect();
  try {
    await client.query('drop table if exists by_hand');
    await client.query(`create table by_hand (like ${qualified('arpu', 0)})`);
    await pipeline(createReadStream(path, { highWaterMark: 262_144 }), client.query(copyFrom('copy by_hand from stdin with (format csv, header)')));
    await client.query('alter table by_hand add primary key (isdn, data_month)');
  } finally {
    client.release();
  }
}

/** One dataset, checked, with its key, statistics and counts, in Postgres alone. */
export async function benchArpu(stores: Stores, path: string): Promise<BenchRow[]> {
  let generation = 900;
  const ours = (): Promise<number> => msOf(() => loadDataset(stores.pool, { dataset: 'arpu', source: { path }, mapping: {}, generation: (generation += 1), loadId: 0, limit: { share: 0 }, progress: { step: () => undefined }, signal: undefined }));
  const { a, b, ratio } = await alternate(5, ours, () => msOf(() => copyByHand(stores, path)));
  await stores.pool.query(`drop table by_hand; delete from ut360.dataset_generations where number > 900; ${Array.from({ length: generation - 900 }, (_none, at) => `drop table ${qualified('arpu', 901 + at)};`).join(' ')}`);
  return [row('ARPU from CSV, checked, key, statistics, beside \\copy + ADD PRIMARY KEY', median(a) / 1_000, { unit: 's', baseline: median(b) / 1_000, ratio, ratioAtMost: 1.3 })];
}

/** The commands of a generation as they go over the wire, into a file. */
async function dumpCommands({ redis, keys }: Stores, generation: number, path: string): Promise<number> {
  const file = createWriteStream(path);
  const names = keys.subscribers(generation);
  for await (const page of scanKeys(masterNodes(redis), names.pattern)) {
    const own = page.filter((key) => /:(rec|profile|body):/.test(key));
    const values = await sendByNode(redis, own.map((key) => ({ key, name: key.includes(':body:') ? 'GET' : 'HGETALL', args: [key] })));
    const text = own.map((key, at) => encodeCommand(key.includes(':body:') ? ['SET', key, String(values[at])] : ['HSET', key, ...(Array.isArray(values[at]) ? values[at].map(String) : Object.entries(values[at] ?? {}).flat().map(String))]));
    if (!file.write(text.join(''))) await new Promise<void>((resolve) => void file.once('drain', () => resolve()));
  }
  file.end();
  await finished(file);
  return (await stat(path)).size;
}

/** As redis-cli --pipe does it: the file into one socket, then an ECHO that comes back behind all replies. */
async function pipeFile(url: string, path: string): Promise<void> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port) });
  const done = Promise.withResolvers<void>();
  let tail = '';
  socket.on('data', (data: Buffer) => {
    tail = (tail + data.subarray(-64).toString('latin1')).slice(-64);
    if (tail.includes('the-end')) done.resolve();
  });
  for await (const chunk of createReadStream(path, { highWaterMark: 262_144 })) if (!socket.write(chunk)) await new Promise<void>((resolve) => void socket.once('drain', () => resolve()));
  socket.write('*2\r\n$4\r\nECHO\r\n$7\r\nthe-end\r\n');
  await done.promise;
  socket.destroy();
}

const loadedSchema = z.object({ seconds: z.number(), generation: z.int(), bytesPerSubscriber: z.number(), redisMs: z.number(), peak: z.number() });
type Loaded = z.output<typeof loadedSchema>;

/** With the settings of `npm run millrace`. */
async function loadInProcess(urls: readonly [databaseUrl: string, redisUrl: string], paths: Paths): Promise<Loaded> {
  const files = Object.fromEntries(Object.entries(paths).map(([name, path]) => [name, { path }]));
  const child = fork(fileURLToPath(new URL('loader.ts', import.meta.url)), [...urls, JSON.stringify(files)], { execArgv: ['--max-semi-space-size=4'] });
  const exited = once(child, 'exit');
  const [message]: unknown[] = await Promise.race([once(child, 'message'), exited.then(() => { throw new Error('the load ended without a report'); })]);
  await exited;
  return loadedSchema.parse(message);
}

export interface WholeLoads { readonly rows: readonly BenchRow[]; readonly generation: number }

/** All three files, twice; the phase of Redis beside the same commands out of a file. */
export async function benchWhole(stores: Stores, paths: Paths, { databaseUrl, redisUrl, directory }: { readonly databaseUrl: string; readonly redisUrl: string; readonly directory: string }): Promise<WholeLoads> {
  const first = await loadInProcess([databaseUrl, redisUrl], paths);
  const second = await loadInProcess([databaseUrl, redisUrl], paths);
  const bytes = await dumpCommands(stores, second.generation, `${directory}/commands`);
  const pipeMs = await msOf(() => pipeFile(redisUrl, `${directory}/commands`));
  return {
    generation: second.generation,
    rows: [
      row('three files loaded and switched', first.seconds, { unit: 's', atMost: 45 }),
      row('the same again, beside the first time', second.seconds, { unit: 's', baseline: first.seconds, ratio: second.seconds / first.seconds, ratioAtMost: 1.2 }),
      row(`Redis generation (${Math.round(bytes / MB)} MB of commands), read, encoded and written, beside the same commands out of a file`, Math.min(first.redisMs, second.redisMs) / 1_000, { unit: 's', baseline: pipeMs / 1_000, ratio: Math.min(first.redisMs, second.redisMs) / pipeMs, ratioAtMost: 1.5 }),
      row('memory of the process that loads, peak', Math.max(first.peak, second.peak) / MB, { unit: 'MB', atMost: 400 }),
      row('Redis for one subscriber', second.bytesPerSubscriber, { unit: 'bytes' }),
      row('Redis for 214,000 subscribers', (second.bytesPerSubscriber * 214_000) / MB, { unit: 'MB', atMost: 700 }),
    ],
  };
}
