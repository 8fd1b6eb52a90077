import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { keysOf, partitionOf, peekLayout, readLayout, repartition } from '@millrace/bus';
import { asEntries, createKeys } from '@millrace/redis-kit';
import { eventually } from '@millrace/testing';
import { openOutbox } from './outbox-kit.ts';
import type { Outbox } from './outbox-kit.ts';

const keys = createKeys();
let outbox: Outbox;
const startRelay = (partitions?: number) => outbox.startRelay(partitions === undefined ? {} : { partitions: { [outbox.topic.name]: partitions } });

/** What stands in the topic's current partitions, in the order of each: key, version, event id. */
async function contents(): Promise<{ key: string; version: number; id: string; partition: number }[]> {
  const { current } = await peekLayout(outbox.redis, keys, outbox.topic.name);
  const lists = await Promise.all(keysOf(keys, outbox.topic.name, current).map(({ stream }) => outbox.redis.xrange(stream, '-', '+')));
  return lists.flatMap((list, partition) =>
    asEntries(list).map(({ fields }) => {
      const get = (name: string): string => fields[fields.indexOf(name) + 1] ?? '';
      return { key: get('product_id'), version: Number(get('version')), id: get('id'), partition };
    }),
  );
}
const idsOf = async (): Promise<Set<string>> => new Set((await contents()).map(({ id }) => id));
const hasAll = (ids: readonly string[]) => async (): Promise<boolean> => {
  const there = await idsOf();
  return ids.every((id) => there.has(id));
};

beforeEach(async () => {
  outbox = await openOutbox();
});
afterEach(async () => {
  const left = await outbox.redis.keys(`${outbox.topic.name}*`);
  if (left.length > 0) await outbox.redis.unlink(...left);
  await outbox.close();
});

describe('an outbox of a partitioned topic', () => {
  it('appends every event to the partition of its key, in order', async () => {
    startRelay(4);
    const ids = await outbox.write(500);
    await eventually(hasAll(ids));
    const found = await contents();
    expect(found).toHaveLength(500);
    const last = new Map<string, number>();
    for (const { key, version, partition } of found) {
      expect(partition).toBe(partitionOf(key, 4));
      expect(version).toBeGreaterThan(last.get(key) ?? -1);
      last.set(key, version);
    }
  });

  it('publishes nothing while the topic has another number than configured', async () => {
    await readLayout(outbox.redis, keys, outbox.topic.name, 2);
    const relay = startRelay(4);
    await outbox.write(10);
    await eventually(() => relay.isLeading());
    await eventually(async () => (await outbox.waiting()) === 10);
    expect(await contents()).toEqual([]);
  });

  it('goes on in the new partitions when the topic is repartitioned under it, each event in one of the sets', async () => {
    startRelay();
    const before = await outbox.write(300);
    await eventually(hasAll(before));
    await repartition(outbox.redis, keys, outbox.topic.name, 4);
    const after = await outbox.write(300, 300);
    await eventually(hasAll(after));
    const ids = await idsOf();
    expect(before.filter((id) => ids.has(id))).toEqual([]);
    expect(await outbox.redis.xlen(outbox.topic.name)).toBe(300);
  });

  it('publishes again what one partition lost, and what all lost by a flush', async () => {
    startRelay(4);
    const ids = await outbox.write(400);
    await eventually(hasAll(ids));
    const [, second] = keysOf(keys, outbox.topic.name, { first: 0, count: 4 });
    await outbox.redis.unlink(second?.stream ?? '');
    await eventually(hasAll(ids));
    await outbox.redis.unlink(...(await outbox.redis.keys(`${outbox.topic.name}*`)));
    await eventually(hasAll(ids));
  });

  it('publishes what was in partitions that a flush took, to the ones that there are after it', async () => {
    startRelay();
    const old = await outbox.write(100);
    await eventually(hasAll(old));
    await repartition(outbox.redis, keys, outbox.topic.name, 4);
    const ids = await outbox.write(100, 100);
    await eventually(hasAll(ids));
    // Another Redis, which knows nothing of four partitions.
    await outbox.redis.unlink(...(await outbox.redis.keys(`${outbox.topic.name}*`)));
    await eventually(hasAll([...old, ...ids]));
    expect(await outbox.redis.exists(outbox.topic.name)).toBe(1);
  });

  it('publishes nothing again while a drained partition is being removed', async () => {
    startRelay();
    const { redis, topic } = outbox;
    await eventually(hasAll(await outbox.write(300)));
    await redis.xgroup('CREATE', topic.name, 'g', '$');
    await repartition(redis, keys, topic.name, 2);
    const ids = await outbox.write(10, 300);
    await eventually(hasAll(ids));
    // As if the owner died while it removed the stream.
    const { stream, epoch, progress, recentIds } = keys.topic(topic.name);
    await redis.multi().hset(keys.topicMeta(topic.name), 'drained', '0:1').hdel(keys.topicMeta(topic.name), 'draining').unlink(stream, epoch, progress, recentIds).exec();
    const more = await outbox.write(10, 310);
    await eventually(hasAll(more));
    const found = await contents();
    expect(found).toHaveLength(20);
  });

  it('publishes again to the current partitions what a draining one lost', async () => {
    startRelay();
    const old = await outbox.write(100);
    await eventually(hasAll(old));
    await outbox.redis.xgroup('CREATE', outbox.topic.name, 'slow', '0');
    await repartition(outbox.redis, keys, outbox.topic.name, 2);
    const ids = await outbox.write(10, 100);
    await eventually(hasAll(ids));
    await outbox.redis.unlink(outbox.topic.name);
    await eventually(hasAll([...old, ...ids]));
  });
});
