import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import { eventually, startRedisServer, testServer, uniqueName } from '@millrace/testing';
import { LeaseLostError, keysFor, openLease, whenReady, withLease } from '../src/index.ts';
import type { Lease, LeaseOptions } from '../src/index.ts';
import { createConnections } from './connections.ts';

const { connect, closeAll } = createConnections();
const holders: ChildProcess[] = [];
afterEach(async () => {
  for (const holder of holders.splice(0)) holder.kill('SIGKILL');
  await closeAll();
});

const optionsFor = (url: string, name: string, ttlMs: number): LeaseOptions => ({ redis: connect(url, 'background'), keys: keysFor(url).lease(name), ttlMs });

async function startHolder(url: string, name: string, ttlMs: number): Promise<{ holder: ChildProcess; first: unknown; said: unknown[] }> {
  const holder = fork(join(import.meta.dirname, 'hold-lease.ts'), [url, name, String(ttlMs)], { execArgv: ['--disable-warning=ExperimentalWarning'] });
  holders.push(holder);
  const said: unknown[] = [];
  holder.on('message', (message) => void said.push(message));
  await once(holder, 'message');
  return { holder, first: said[0], said };
}

describe.each([['one Redis', testServer('redis')], ['a Redis Cluster', testServer('redis-cluster')]])('a lease on %s', (_title, url) => {
  it('is had by one at a time, with a larger number each time, and is free at once when it is released', async () => {
    const options = optionsFor(url, uniqueName('lease'), 30_000);
    const [first, none] = [await openLease(options), await openLease(options)];
    expect(none).toBeUndefined();
    expect(first?.isHeld()).toBe(true);
    await first?.release();
    expect([first?.isHeld(), first?.signal.aborted]).toEqual([false, false]);
    const second = await openLease(options);
    expect(second?.fencingNumber).toBeGreaterThan(first?.fencingNumber ?? Infinity);
    // One that is over gives nothing away that is another's by now.
    await first?.release();
    expect(await openLease(options)).toBeUndefined();
    await second?.release();
  });

  it('is kept while its work lasts longer than it, and given back when the work throws', async () => {
    const options = optionsFor(url, uniqueName('lease'), 2_000);
    const until = performance.now() + 2_500;
    const seen = await withLease(options, async (lease) => {
      await eventually(() => performance.now() > until);
      return [lease.isHeld(), lease.signal.aborted, await openLease(options)];
    });
    expect(seen).toEqual([true, false, undefined]);
    await expect(withLease(options, () => Promise.reject(new Error('the work failed')))).rejects.toThrow('the work failed');
    expect(await withLease(options, async () => 'free')).toBe('free');
  });
});

describe('a lease whose holder or Redis fails', () => {
  it('goes to the next one after a kill -9', async () => {
    const options = optionsFor(testServer('redis'), uniqueName('lease'), 1_200);
    const { holder, first } = await startHolder(testServer('redis'), options.keys.lease.slice('lease:{'.length, -1), 1_200);
    expect(await openLease(options)).toBeUndefined();
    holder.kill('SIGKILL');
    const next = await eventually(() => openLease(options));
    expect({ number: next.fencingNumber }).not.toEqual(first);
    await next.release();
  });

  it('goes to the next one while its holder stands still, who is told when it goes on, and whose number is the smaller one', async () => {
    const options = optionsFor(testServer('redis'), uniqueName('lease'), 3_000);
    const { holder, first, said } = await startHolder(testServer('redis'), options.keys.lease.slice('lease:{'.length, -1), 3_000);
    holder.kill('SIGSTOP');
    const next = await eventually(() => openLease(options));
    holder.kill('SIGCONT');
    await eventually(() => said.length === 2);
    expect(said[1]).toEqual({ told: expect.stringContaining('is lost'), isHeld: false });
    expect(first).toEqual({ number: expect.any(Number) });
    expect(next.fencingNumber).toBeGreaterThan(Number(JSON.stringify(first).replaceAll(/\D/g, '')));
    // It had no right to give this one back.
    expect(next.isHeld()).toBe(true);
    await next.release();
  });

  it('is lost for its holder before another one can have it, while Redis hangs', async () => {
    const server = await startRedisServer();
    const options = optionsFor(server.url, 'hanging', 900);
    await whenReady(options.redis);
    const lease = await openLease(options);
    server.pause();
    await eventually(() => lease?.signal.aborted);
    expect(lease?.signal.reason).toBeInstanceOf(LeaseLostError);
    server.resume();
    const next: Lease = await eventually(() => openLease(options));
    expect(next.fencingNumber).toBeGreaterThan(lease?.fencingNumber ?? Infinity);
    await next.release();
    await server.stop();
  });

  it('is lost where Redis comes back without its memory, and the next number is larger all the same', async () => {
    const server = await startRedisServer();
    const options = optionsFor(server.url, 'forgotten', 600);
    await whenReady(options.redis);
    const lease = await openLease(options);
    await server.restart();
    await eventually(() => lease?.signal.aborted);
    const next = await eventually(() => openLease(options));
    expect(next.fencingNumber).toBeGreaterThan(lease?.fencingNumber ?? Infinity);
    await next.release();
    await server.stop();
  });

  it('goes on where Redis comes back with its memory', async () => {
    const server = await startRedisServer(['--appendonly', 'yes', '--appendfsync', 'always']);
    const options = optionsFor(server.url, 'kept', 20_000);
    await whenReady(options.redis);
    const lease = await openLease(options);
    await server.restart();
    await eventually(async () => (await options.redis.ping()) === 'PONG');
    expect([await openLease(options), lease?.isHeld()]).toEqual([undefined, true]);
    await lease?.release();
    expect(await withLease(options, async () => 'free')).toBe('free');
    await server.stop();
  });
});
