import { createServer } from 'node:net';
import type { Socket } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { describeWith, eventually, startRedisServer, startTunnel, testServer, uniqueName } from '@millrace/testing';
import { closeRedis, connectRedis, defineScript, infoField, whenReady } from '../src/index.ts';
import type { ConnectOptions, Redis } from '../src/index.ts';

const open: Redis[] = [];
const connect = (role: ConnectOptions['role'], url = testServer('redis'), more: Partial<ConnectOptions> = {}): Redis => {
  const redis = connectRedis(url, { role, name: 'redis-kit test', ...more });
  open.push(redis);
  return redis;
};
afterEach(async () => {
  await Promise.all(open.splice(0).map((redis) => closeRedis(redis)));
});

describe('connectRedis', () => {
  it('rejects a request at once while Redis is away, instead of queueing it', async () => {
    await expect(connect('request', 'redis://127.0.0.1:1').ping()).rejects.toThrow(/enableOfflineQueue/);
  });

  it.each([['once', 1], ['request', 2]] as const)('sends what was on its way on a lost connection, by a %s connection, so many times: %d', async (role, times) => {
    const tunnel = await startTunnel(testServer('redis'));
    try {
      const redis = connect(role, tunnel.url);
      await whenReady(redis);
      const key = uniqueName('count');
      tunnel.cutAtReplyWith(':7654321');
      const reply = await redis.incrby(key, 7_654_321).catch((error: unknown) => error);
      if (times === 1) expect(reply).toBeInstanceOf(Error);
      // What is sent again is sent before this.
      await eventually(() => redis.ping().then(() => true));
      expect(await connect('background').get(key)).toBe(String(7_654_321 * times));
    } finally {
      tunnel.close();
    }
  });

  it('rejects background work within its few retries while Redis is away', async () => {
    await expect(connect('background', 'redis://127.0.0.1:1').ping()).rejects.toThrow(/max retries/i);
  });

  it('tells the listener of connection errors and never crashes the process', async () => {
    const errors: Error[] = [];
    connect('blocking', 'redis://127.0.0.1:1', { onError: (error) => errors.push(error) });
    await expect(eventually(() => errors.length > 0)).resolves.toBe(true);
  });

  it('replaces a socket that owes an answer and stays silent', async () => {
    const sockets: Socket[] = [];
    const blackHole = createServer((socket) => void sockets.push(socket.on('error', () => undefined))).listen(0, '127.0.0.1');
    const port = await eventually(() => {
      const address = blackHole.address();
      return address !== null && typeof address === 'object' ? address.port : undefined;
    });
    const redis = connect('blocking', `redis://127.0.0.1:${port}`, { silentSocketMs: 50 });
    await expect(eventually(() => sockets.length >= 2)).resolves.toBe(true);
    await closeRedis(redis);
    blackHole.close();
    for (const socket of sockets) socket.destroy();
  });
});

describe('whenReady and closeRedis', () => {
  it('waits for the first connection', async () => {
    const redis = connect('request');
    await whenReady(redis);
    await expect(redis.ping()).resolves.toBe('PONG');
  });

  it('rejects where nothing answers in time, and closes what never connected', async () => {
    const redis = connect('request', 'redis://127.0.0.1:1');
    await expect(whenReady(redis, 50)).rejects.toThrow('did not answer');
    await closeRedis(redis);
    await eventually(() => redis.status === 'end');
    await expect(whenReady(redis)).rejects.toThrow('closed');
  });
});

it('closing rejects the commands that wait for a connection', async () => {
  const redis = connect('blocking', 'redis://127.0.0.1:1');
  const outcome = redis.ping().catch((error: unknown) => error);
  await eventually(() => redis.status === 'reconnecting');
  await closeRedis(redis);
  expect(await outcome).toHaveProperty('message', 'Connection is closed.');
});

describe('defineScript', () => {
  it('runs again after the server has forgotten its scripts', async () => {
    const redis = connect('background');
    const marker = uniqueName();
    const script = defineScript(`-- ${marker}\nreturn redis.call('INCRBY', KEYS[1], ARGV[1])`);
    await expect(script(redis, [marker], [2])).resolves.toBe(2);
    await expect(script(redis, [marker], [2])).resolves.toBe(4);
    await redis.del(marker);
  });

  it('passes on the error of a script', async () => {
    await expect(defineScript("return redis.error_reply('OOM full')")(connect('background'), [], [])).rejects.toThrow('OOM full');
  });
});

describeWith('redis-server', 'with a server of its own', () => {
  it('reports another run_id after a restart, and comes back by itself', async () => {
    const server = await startRedisServer();
    const redis = connect('blocking', server.url);
    const before = await infoField(redis, 'run_id');
    await server.restart();
    const after = await infoField(redis, 'run_id');
    expect(before).toHaveLength(40);
    expect(after).not.toBe(before);
    expect(await infoField(redis, 'no_such_field')).toBeUndefined();
    await closeRedis(redis);
    await server.stop();
  });
});
