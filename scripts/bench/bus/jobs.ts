import type { Topic } from '@millrace/bus';
import { closeRedis, connectRedis } from '@millrace/redis-kit';
import { Queue, Worker } from 'bullmq';
import { alternate, median, row } from '../support/measure.ts';
import type { BenchRow } from '../support/measure.ts';
import { redisUrl, uniqueName, within } from './lane.ts';
import type { Lane } from './lane.ts';
import { consumeByBus, createRateMeter, publishByBus } from './throughput.ts';

const PAIRS = 7;
const BULK = 500;
const CONCURRENCY = 100;

interface JobRates { readonly added: number; readonly processed: number }

/** The same payloads as jobs that do nothing: added in bulk, then processed. */
async function runJobs<T extends Topic>({ plain }: Lane<T>): Promise<JobRates> {
  // Both block or may: BullMQ wants no limit of retries.
  const connect = () => connectRedis(redisUrl(), { role: 'blocking', name: 'bench bullmq' });
  const connections = [connect(), connect()] as const;
  const name = uniqueName('jobs').replaceAll(':', '-');
  const queue = new Queue(name, { connection: connections[0], defaultJobOptions: { removeOnComplete: true } });
  const meter = createRateMeter(plain.length);
  const worker = new Worker(name, async () => undefined, { connection: connections[1], concurrency: CONCURRENCY, autorun: false });
  await Promise.all([queue.waitUntilReady(), worker.waitUntilReady()]);
  const startMs = performance.now();
  for (let from = 0; from < plain.length; from += BULK) await queue.addBulk(plain.slice(from, from + BULK).map(({ payload }) => ({ name: 'update', data: payload })));
  const added = plain.length / ((performance.now() - startMs) / 1_000);
  worker.on('completed', () => meter.add(1));
  const running = worker.run();
  const processed = await within(120, 'BullMQ', meter.rate);
  await worker.close();
  await running;
  await queue.obliterate({ force: true });
  await queue.close();
  await Promise.all(connections.map((connection) => closeRedis(connection)));
  return { added, processed };
}

/** For comparison, without a goal: jobs carry locks, retries, delays and results of their own, which events do not. */
export async function benchJobs<T extends Topic>(lane: Lane<T>): Promise<BenchRow[]> {
  const ours = async (): Promise<JobRates> => ({ added: await publishByBus(lane), processed: await consumeByBus(lane) });
  await ours();
  await runJobs(lane);
  const rates: Record<'ours' | 'jobs', JobRates[]> = { ours: [], jobs: [] };
  const kept = async (list: JobRates[], run: Promise<JobRates>): Promise<number> => {
    const result = await run;
    list.push(result);
    return result.processed;
  };
  const { a, b, ratio } = await alternate(PAIRS, () => kept(rates.ours, ours()), () => kept(rates.jobs, runJobs(lane)));
  const added = { ours: rates.ours.map((rate) => rate.added), jobs: rates.jobs.map((rate) => rate.added) };
  return [
    row(`publish ${BULK} at a time, against BullMQ addBulk`, median(added.ours), { unit: 'events/s', baseline: median(added.jobs), ratio: median(added.ours.map((rate, at) => rate / (added.jobs[at] ?? Number.NaN))) }),
    row(`consume 100 at a time, against BullMQ jobs, concurrency ${CONCURRENCY}`, median(a), { unit: 'messages/s', baseline: median(b), ratio }),
  ];
}
