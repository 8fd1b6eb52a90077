import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, describe, expect, it } from '@jest/globals';
import { hasPassed, readEnds } from '@millrace/bus';
import { interactions } from '@millrace/contracts';
import { closeRedis, connectRedis } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';
import { describeWith, eventually, testServer, uniqueName } from '@millrace/testing';
import { partitionKeys } from '../src/count-keys.ts';
import { expectedCounts, GROUP, keysOfTest, keysUnder, manyEvents, openCounting, readAllCounts } from './counts-kit.ts';

const EVENTS = 1_200;
const KILLS = 2;
const program = new URL('counting-process.ts', import.meta.url).pathname;

function guarantees(server: 'redis' | 'redis-cluster', partitions: number): void {
  let redis: Redis;
  let prefix: string;
  afterEach(async () => {
    for (const key of await keysUnder(redis, prefix)) await redis.unlink(key);
    await closeRedis(redis);
  });

  it('counts every event once while its process is killed again and again', async () => {
    const url = testServer(server);
    redis = connectRedis(url, { role: 'background', name: 'test' });
    prefix = uniqueName('recs');
    const keys = keysOfTest(url, prefix);
    const counting = openCounting(url, { redis, keys, partitions });
    const events = manyEvents(EVENTS);
    const ids = (): Promise<readonly (string | null)[]> => Promise.all(Array.from({ length: partitions }, (_none, partition) => redis.get(partitionKeys(keys, partition).applied)));
    for (let killed = 0; killed < KILLS; killed += 1) {
      await counting.bus.publish(interactions, events.slice((EVENTS / KILLS) * killed, (EVENTS / KILLS) * (killed + 1)));
      const before = JSON.stringify(await ids());
      const child = spawn(process.execPath, [program, url, prefix, String(partitions)], { stdio: 'ignore' });
      const exited = once(child, 'exit');
      try {
        // It is counting: some batches are done, most are not.
        await eventually(async () => JSON.stringify(await ids()) !== before);
      } finally {
        child.kill('SIGKILL');
      }
      await exited;
    }
    await counting.start();
    await eventually(async () => hasPassed(redis, GROUP, await readEnds(redis, keys, interactions.name)));
    const expected = await expectedCounts(redis, keysOfTest(url, `${prefix}-expected`), events);
    expect(await readAllCounts(redis, await counting.partitions.live())).toEqual(expected);
    await counting.bus.close();
  });
}

describe('the counts', () => {
  guarantees('redis', 1);
});
describeWith('redis-cluster', 'the counts on a cluster', () => {
  guarantees('redis-cluster', 3);
});
