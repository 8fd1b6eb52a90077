import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { createTestTopic, describeSurvival, numbered, numbersOf } from '@millrace/bus/testing';
import { describeWith, eventually, startNatsServer } from '@millrace/testing';
import { createNatsBus } from '../src/index.ts';

const open = (url: string) => createNatsBus({ url, claimIdleMs: 1_000, leaseMs: 1_000, retryBaseMs: 5 });

describeWith('nats-server', 'faults of NATS', () => {
  describeSurvival('nats-jetstream', () => startNatsServer(), open);

  it.each(['none', 'key'] as const)('goes on without a restart on a server that came back empty: groups with the order "%s" bootstrap and handle what is published', async (ordering) => {
    const server = await startNatsServer();
    const bus = open(server.url);
    const topic = createTestTopic();
    const seen: number[] = [];
    let exports = 0;
    await bus.subscribe(topic, { group: 'g', ordering, onGroupCreated: async () => void (exports += 1) }, async (events) => void seen.push(...numbersOf(events)));
    await bus.publish(topic, numbered(1));
    await eventually(() => seen.length === 1);
    await server.empty();
    await eventually(() => exports >= 2);
    await eventually(() => bus.publish(topic, numbered(1, 7)).then(() => true));
    await eventually(() => seen.includes(7));
    await bus.close();
    await server.stop();
  });

  it('says that JetStream is off', async () => {
    const server = await startNatsServer({ jetStream: false });
    const bus = open(server.url);
    await expect(bus.subscribe(createTestTopic(), { group: 'g' }, async () => undefined)).rejects.toThrow(/has no JetStream: start nats-server with --jetstream/);
    await expect(bus.publish(createTestTopic(), numbered(1))).rejects.toThrow(/has no JetStream/);
    await bus.close();
    await server.stop();
  });

  it('says that user or password are wrong, and never shows them', async () => {
    const server = await startNatsServer({ args: ['--user', 'millrace', '--pass', 'right'] });
    const wrong = createNatsBus({ url: server.url.replace('//', '//millrace:wrong@') });
    const failed = wrong.publish(createTestTopic(), numbered(1));
    await expect(failed).rejects.toThrow(/refuses user, password or token of BUS_URL/);
    await expect(failed).rejects.not.toThrow(/wrong/);
    await wrong.close();
    const right = createNatsBus({ url: server.url.replace('//', '//millrace:right@') });
    await expect(right.publish(createTestTopic(), numbered(1))).resolves.toBeUndefined();
    await right.close();
    await server.stop();
  });

  it('says that there is no room left, goes on consuming, and publishes again once it is trimmed', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'millrace-nats-full-'));
    const config = join(directory, 'nats.conf');
    await writeFile(config, `jetstream { store_dir: "${directory}", max_file_store: 300KB }\n`);
    const server = await startNatsServer({ jetStream: false, args: ['-c', config] });
    const bus = createNatsBus({ url: server.url, retryBaseMs: 5 });
    const topic = createTestTopic();
    let isHeld = true;
    const handle = async (): Promise<void> => {
      if (isHeld) throw Object.assign(new Error('not yet'), { code: 'unavailable' });
    };
    await bus.subscribe(topic, { group: 'g', onGroupCreated: async () => undefined }, handle);
    const fill = async (): Promise<void> => {
      for (let from = 0; from < 5_000; from += 100) await bus.publish(topic, numbered(100, from));
    };
    await expect(fill()).rejects.toMatchObject({ code: 'unavailable', message: expect.stringContaining('has no room left: make room on its disk, or raise max_file_store') });
    isHeld = false;
    await eventually(async () => (await bus.lag(topic, 'g')).messages === 0);
    await eventually(async () => (await bus.trimAcknowledged(topic, { keep: 0 })) > 0);
    await eventually(() => bus.publish(topic, numbered(10)).then(() => true));
    await bus.close();
    await server.stop();
    await rm(directory, { recursive: true, force: true });
  });
});
