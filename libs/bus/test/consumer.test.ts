import { afterEach, describe, expect, it } from '@jest/globals';
import { eventually } from '@millrace/testing';
import { startAssignment } from '../src/assignment.ts';
import type { LeaseTable } from '../src/assignment.ts';
import { startConsumer } from '../src/consumer.ts';
import { encodeEvent } from '../src/index.ts';
import { createMemoryGroupLog } from '../src/memory/memory-group-log.ts';
import { createMemoryTopic } from '../src/memory/memory-topic.ts';
import { createBusMetrics, silentLogger } from '../src/metrics.ts';
import { createTestTopic, numbered } from '../src/testing.ts';

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  await Promise.all(closers.splice(0).map((close) => close()));
});
const metrics = createBusMetrics(undefined);
const labels = { topic: 't', group: 'g' };

describe('a consumer', () => {
  it('repeats only the acknowledgement where that fails after a single handling: it is no handling (I6)', async () => {
    const topic = createTestTopic();
    const memory = createMemoryTopic();
    for (const event of numbered(1)) memory.append(encodeEvent(topic, event));
    const log = createMemoryGroupLog(memory, 'g', 'c');
    let [handlings, failures, acknowledgements] = [0, 8, 0];
    const consumer = startConsumer({
      topic, labels, metrics, logger: silentLogger, ordering: 'none', isLeased: false, delivery: { signal: new AbortController().signal, partition: 0 },
      batchSize: 10, blockMs: 10, claimIdleMs: 60_000, maxDeliveries: 5, retryBaseMs: 1, forgetConsumersMs: 60_000,
      log: {
        ...log,
        async ack(ids, tracked) {
          acknowledgements += 1;
          if (failures-- > 0) throw new Error('the broker is away');
          await log.ack(ids, tracked);
        },
      },
      // The batch and its second try fail, so that the entry is handled singly.
      handle: async () => {
        handlings += 1;
        if (handlings <= 2) throw new Error('not yet');
      },
    });
    closers.push(() => consumer.close());
    await eventually(() => memory.groups.get('g')?.pending.size === 0);
    expect(handlings).toBe(3);
    expect(acknowledgements).toBe(9);
    expect(memory.groups.get('g')?.deadLetters).toEqual([]);
  });
});

describe('an assignment', () => {
  it('gives a partition back whose consumer has ended by itself, also where the lease could be renewed', async () => {
    const released: number[] = [];
    let tokens = 0;
    const table: LeaseTable = {
      join: async () => ['me'], leave: async () => undefined, renew: async () => true,
      acquire: async (partition) => ({ partition, value: 'v', fencingToken: (tokens += 1) }),
      release: async ({ fencingToken }) => void released.push(fencingToken),
    };
    const assignment = startAssignment({
      partitions: 1, member: 'me', leaseMs: 40, table, labels, metrics, logger: silentLogger, isFinished: async () => false,
      // The first one was refused; the second one goes on.
      consume: ({ fencingToken }) => ({ registered: Promise.resolve(), ended: fencingToken === 1 ? Promise.resolve() : new Promise(() => undefined), close: async () => undefined }),
    });
    closers.push(() => assignment.close());
    await eventually(() => tokens === 2);
    expect(released).toEqual([1]);
  });
});
