import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { parsePointer } from '@millrace/subscribers';
import type { Pointer } from '@millrace/subscribers';
import { z } from 'zod';
import { median, row } from '../support/measure.ts';
import type { BenchRow } from '../support/measure.ts';

const MB = 1_000_000;
const PAIRS = 3;
type Paths = Readonly<Record<'recommendations' | 'profiles' | 'arpu', string>>;

/** Stores that nothing was loaded into. */
export interface LoadPlace {
  readonly databaseUrl: string;
  readonly redisUrl: string;
}

const loadedSchema = z.object({ seconds: z.number(), pointer: z.string(), bytesPerSubscriber: z.number(), peak: z.number() });
type Loaded = z.output<typeof loadedSchema>;

/** With the settings of `npm run millrace`. */
async function loadInProcess({ databaseUrl, redisUrl }: LoadPlace, paths: Paths): Promise<Loaded> {
  const files = Object.fromEntries(Object.entries(paths).map(([name, path]) => [name, { path }]));
  const child = fork(fileURLToPath(new URL('loader.ts', import.meta.url)), [databaseUrl, redisUrl, JSON.stringify(files)], { execArgv: ['--max-semi-space-size=4'] });
  const exited = once(child, 'exit');
  const [message]: unknown[] = await Promise.race([once(child, 'message'), exited.then(() => { throw new Error('the load ended without a report'); })]);
  await exited;
  return loadedSchema.parse(message);
}

export interface Places<P extends LoadPlace> {
  readonly open: () => Promise<P>;
  readonly close: (place: P) => Promise<void>;
  /** Of the last pair; stays open. */
  readonly last: P;
}

/** All three files into new stores and once more into the same ones, in turn: first loads and reloads meet the same times of the machine. */
export async function benchLoads<P extends LoadPlace>(paths: Paths, { open, close, last }: Places<P>): Promise<{ readonly rows: readonly BenchRow[]; readonly generation: Pointer }> {
  const firsts: Loaded[] = [];
  const again: Loaded[] = [];
  for (let pair = 1; pair <= PAIRS; pair += 1) {
    const place = pair === PAIRS ? last : await open();
    firsts.push(await loadInProcess(place, paths));
    again.push(await loadInProcess(place, paths));
    if (place !== last) await close(place);
  }
  const all = [...firsts, ...again];
  const seconds = (loads: readonly Loaded[]): number => median(loads.map((load) => load.seconds));
  const bytesPerSubscriber = median(all.map((load) => load.bytesPerSubscriber));
  const generation = parsePointer(again.at(-1)?.pointer);
  if (generation === undefined) throw new Error('the load told of no pointer');
  return {
    generation,
    rows: [
      row('three files loaded and switched', seconds(firsts), { unit: 's', atMost: 45 }),
      row('the same again, beside the first time', seconds(again), { unit: 's', baseline: seconds(firsts), ratio: median(again.map((load, at) => load.seconds / (firsts[at]?.seconds ?? Number.NaN))), ratioAtMost: 1.2 }),
      row('memory of the process that loads, peak', Math.max(...all.map(({ peak }) => peak)) / MB, { unit: 'MB', atMost: 400 }),
      row('Redis for one subscriber', bytesPerSubscriber, { unit: 'bytes' }),
      row('Redis for 214,000 subscribers', (bytesPerSubscriber * 214_000) / MB, { unit: 'MB', atMost: 700 }),
    ],
  };
}
