import { afterAll, describe, expect, it } from '@jest/globals';
import { closeRedis, connectRedis } from '@millrace/redis-kit';
import { createLogger } from '@millrace/service';
import { eventually, testServer, uniqueName } from '@millrace/testing';
import { startSweepSchedule } from '../src/sweep-schedule.ts';

const redis = connectRedis(testServer('redis'), { role: 'background', name: 'test' });
afterAll(() => closeRedis(redis));

const start = (name: string, run: () => Promise<void>) =>
  startSweepSchedule({ connect: (role) => connectRedis(testServer('redis'), { role, name: 'test' }), prefix: name, queue: 'sweeps', everyMs: 100, run, logger: createLogger('test', 'silent') });

describe('the sweep schedule', () => {
  it('runs every interval, on one of several instances', async () => {
    const name = uniqueName('bull');
    let runs = 0;
    const instances = await Promise.all([start(name, async () => void (runs += 1)), start(name, async () => void (runs += 1))]);
    await eventually(() => runs >= 3);
    await Promise.all(instances.map((instance) => instance.close()));
  });
  it('waits on a connection that may be silent for longer than BullMQ blocks (10 s)', async () => {
    const silent = new Map<string, number | undefined>();
    const schedule = await startSweepSchedule({
      connect: (role, silentSocketMs) => {
        silent.set(role, silentSocketMs);
        return connectRedis(testServer('redis'), { role, name: 'test' });
      },
      prefix: uniqueName('bull'), queue: 'sweeps', everyMs: 20_000, run: async () => undefined, logger: createLogger('test', 'silent'),
    });
    await schedule.close();
    expect(silent.get('blocking')).toBeGreaterThan(11_000);
  });
  it('is made again where Redis lost it', async () => {
    const name = uniqueName('bull');
    let runs = 0;
    const schedule = await start(name, async () => void (runs += 1));
    await eventually(() => runs >= 1);
    await redis.unlink(...(await redis.keys(`${name}:*`)));
    const before = runs;
    await eventually(() => runs > before + 1);
    await schedule.close();
  });
  it('never begins a sweep while one runs, and goes on after one that failed', async () => {
    const name = uniqueName('bull');
    let running = 0;
    let most = 0;
    let runs = 0;
    const schedule = await start(name, async () => {
      running += 1;
      most = Math.max(most, running);
      await eventually(async () => (await redis.exists(`${name}:go-${runs}`)) === 1, { everyMs: 5 }).finally(() => (running -= 1));
      runs += 1;
      if (runs === 1) throw new Error('the first one fails');
    });
    for (let n = 0; n < 3; n += 1) {
      await eventually(() => running === 1);
      await redis.set(`${name}:go-${n}`, '1', 'EX', 60);
      await eventually(() => runs > n);
    }
    await schedule.close();
    expect(most).toBe(1);
  });
});
