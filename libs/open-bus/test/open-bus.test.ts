import { afterEach, describe, expect, it } from '@jest/globals';
import type { ManagedBus } from '@millrace/bus';
import { testServer } from '@millrace/testing';
import { engineOf, openBus } from '../src/index.ts';

const REDIS_URL = 'redis://127.0.0.1:6379';

describe('BUS_URL', () => {
  it.each([
    [undefined, 'redis'],
    [REDIS_URL, 'redis'],
    ['nats://127.0.0.1:4222', 'nats'],
    ['tls://nats.example.com', 'nats'],
    ['postgres://role:pw@127.0.0.1/db?schema=bus', 'postgres'],
    ['postgresql://role:pw@127.0.0.1/db', 'postgres'],
  ] as const)('%s is the engine %s', (busUrl, engine) => {
    expect(engineOf({ BUS_URL: busUrl, REDIS_URL })).toBe(engine);
  });

  it.each([
    ['kafka://127.0.0.1:9092', /BUS_URL begins with "kafka:", and a bus is redis:\/\/, nats:\/\/ or postgres:\/\//],
    ['redis://:secret@elsewhere:6379', /BUS_URL names another Redis than REDIS_URL/],
  ])('%s is refused with a sentence that shows no password', async (busUrl, message) => {
    const refused = openBus({ config: { BUS_URL: busUrl, REDIS_URL }, name: 'test' });
    await expect(refused).rejects.toThrow(message);
    await expect(refused).rejects.not.toThrow(/secret/);
  });
});

describe('the bus that is opened', () => {
  const buses: ManagedBus[] = [];
  afterEach(async () => {
    await Promise.all(buses.splice(0).map((bus) => bus.close()));
  });
  const open = async (busUrl?: string, partitions = {}): Promise<ManagedBus> => {
    const bus = await openBus({ config: { BUS_URL: busUrl, REDIS_URL: testServer('redis') }, name: 'test', partitions });
    buses.push(bus);
    return bus;
  };

  it.each([
    [undefined, { engine: 'redis', partitions: true, atomicContext: true }],
    ['nats://127.0.0.1:1', { engine: 'nats', partitions: false, atomicContext: false }],
    ['postgres://role:pw@127.0.0.1:1/db', { engine: 'postgres', partitions: false, atomicContext: false }],
  ])('of %s declares what it can do, and needs no server for that', async (busUrl, features) => {
    const bus = await open(busUrl);
    expect(bus.features).toMatchObject(features);
    expect(bus.durable?.engine).toBe(features.engine === 'redis' ? undefined : features.engine);
  });

  it.each(['nats://127.0.0.1:1', 'postgres://role:pw@127.0.0.1:1/db'])('of %s refuses several partitions by a sentence', async (busUrl) => {
    await expect(open(busUrl, { 'product:updates': 4 })).rejects.toThrow(/BUS_PARTITIONS gives product:updates 4 partitions, and a topic on (NATS|Postgres) has one/);
  });
});
