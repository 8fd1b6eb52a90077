import { afterEach, describe, expect, it } from '@jest/globals';
import { describeWith, eventually, startRedisCluster, testServer, uniqueName } from '@millrace/testing';
import { createUnblocker, masterNodes, onReconnect, whenReady } from '../src/index.ts';
import type { Redis, Unblocker } from '../src/index.ts';
import { createConnections } from './connections.ts';

const { connect, closeAll } = createConnections();
afterEach(closeAll);

interface Pair {
  readonly blocking: Redis;
  readonly control: Redis;
  readonly unblocker: Unblocker;
}

function pairOn(url: string): Pair {
  const blocking = connect(url, 'blocking');
  const control = connect(url, 'background');
  return { blocking, control, unblocker: createUnblocker(blocking, control) };
}

/** Waits for ever for an entry of a stream, as a bus' reader does. */
async function block({ blocking, unblocker }: Pair, stream: string): Promise<unknown> {
  await unblocker.prepare(stream);
  return blocking.xread('BLOCK', 0, 'STREAMS', stream, '$').catch((error: unknown) => error);
}

const isBlocked = async ({ control }: Pair): Promise<boolean> =>
  (await Promise.all(masterNodes(control).map((node) => node.client('LIST')))).some((clients) => /name=redis-kit-test .*flags=b.*cmd=xread/.test(String(clients)));

/** As a closing bus does: again and again until it has ended. */
async function unblockUntil(pair: Pair, outcome: Promise<unknown>): Promise<unknown> {
  const nudge = setInterval(() => pair.unblocker.unblock(), 25);
  return outcome.finally(() => clearInterval(nudge));
}

function describeUnblocker(url: () => string): void {
  it('ends a blocking command as if its time were up, and the next one too', async () => {
    const pair = pairOn(url());
    for (const stream of [uniqueName(), uniqueName(), uniqueName()]) {
      const outcome = block(pair, stream);
      await eventually(() => isBlocked(pair));
      expect(await unblockUntil(pair, outcome)).toBeNull();
    }
  });

  it('ends one that was sent before anything was connected', async () => {
    const pair = pairOn(url());
    const outcome = block(pair, uniqueName());
    await eventually(() => isBlocked(pair));
    expect(await unblockUntil(pair, outcome)).toBeNull();
  });

  it('ends one whose connection was there before the unblocker', async () => {
    const blocking = connect(url(), 'blocking');
    const control = connect(url(), 'background');
    await whenReady(blocking);
    const pair = { blocking, control, unblocker: createUnblocker(blocking, control) };
    const outcome = block(pair, uniqueName());
    await eventually(() => isBlocked(pair));
    expect(await unblockUntil(pair, outcome)).toBeNull();
  });

  it('knows the new connection after the old one was cut, and the loss is told', async () => {
    const pair = pairOn(url());
    let losses = 0;
    onReconnect(pair.blocking, () => (losses += 1));
    const outcome = block(pair, uniqueName());
    await eventually(() => isBlocked(pair));
    expect(losses).toBe(0);
    for (const node of masterNodes(pair.control)) {
      const id = /id=(\d+) .*name=redis-kit-test .*flags=b/.exec(String(await node.client('LIST')))?.[1];
      if (id !== undefined) await node.client('KILL', 'ID', id);
    }
    await eventually(() => losses === 1);
    await eventually(() => isBlocked(pair));
    expect(await unblockUntil(pair, outcome)).toBeNull();
  });

  it('rejects one that waits for a connection', async () => {
    const pair = pairOn(url().replaceAll(/:\d+/g, ':1'));
    expect(String(await unblockUntil(pair, block(pair, uniqueName())))).toMatch(/closed/i);
  });
}

describe('createUnblocker on a single instance', () => {
  describeUnblocker(() => testServer('redis'));
});

describeWith('redis-cluster', 'createUnblocker on a cluster', () => {
  describeUnblocker(() => testServer('redis-cluster'));
});

describeWith('redis-server', 'createUnblocker on a cluster of its own', () => {
  it('rejects a command that is sent again and again because its node is away', async () => {
    const cluster = await startRedisCluster();
    const pair = pairOn(cluster.url);
    await whenReady(pair.control);
    const stream = uniqueName();
    const outcome = block(pair, stream);
    await eventually(() => isBlocked(pair));
    const slot = await pair.control.cluster('KEYSLOT', stream);
    await cluster.nodes[Math.floor((slot * 3) / 16_384)]?.kill();
    expect(String(await unblockUntil(pair, outcome))).toMatch(/closed|ended/i);
    await closeAll();
    await cluster.stop();
  });

  it('ends a command that was led to the node that has its slot now', async () => {
    const cluster = await startRedisCluster({ masters: 2 });
    const pair = pairOn(cluster.url);
    await Promise.all([whenReady(pair.blocking), whenReady(pair.control)]);
    const stream = uniqueName();
    const slot = await pair.control.cluster('KEYSLOT', stream);
    const [from, to] = slot < 8_192 ? [0, 1] : [1, 0];
    const nodes = cluster.nodes.map(({ port }) => masterNodes(pair.control).find((node) => node.options.port === port));
    const id = String(await nodes[to]?.cluster('MYID'));
    await pair.unblocker.prepare(stream);
    for (const node of [nodes[to], nodes[from]]) await node?.cluster('SETSLOT', slot, 'NODE', id);
    const outcome = block(pair, stream);
    await eventually(() => isBlocked(pair));
    expect(await unblockUntil(pair, outcome)).toBeNull();
    await closeAll();
    await cluster.stop();
  });
});
