import { expect, it } from '@jest/globals';
import { defineTopic } from '@millrace/bus';
import type { DurablePublisher } from '@millrace/bus';
import { z } from 'zod';
import { createDurableSink } from '../src/sinks.ts';
import type { EventRow } from '../src/statements.ts';

const topic = defineTopic('topic', { tick: z.object({ n: z.int() }) }, { schemaVersion: 1, keyOf: () => 'k' });
const row: EventRow = ['1', 'topic', 'id', 'tick', 'k', '', '{"n":1}', '', '2026-11-22T10:00:00.000Z', '1'];
const deps = { redis: undefined, appendTimeoutMs: 20 };
const fence = { layoutId: '', epoch: '', lastId: '0-0' };

it('tells the broker\'s client to send nothing more of an append whose time is up', async () => {
  let given: AbortSignal | undefined;
  const stuck: DurablePublisher = {
    append(_topic, _events, options) {
      given = options?.signal;
      return new Promise(() => undefined);
    },
    lastNumber: async () => 0,
  };
  await expect(createDurableSink(topic, stuck).append(deps, fence, [row])).rejects.toThrow('the broker did not answer within 20 ms');
  expect(given?.aborted).toBe(true);
});

it('takes a topic for lost that ends before what was appended', async () => {
  const ends = (number: number): DurablePublisher => ({ append: async () => number, lastNumber: async () => number });
  expect(await createDurableSink(topic, ends(5)).append(deps, { ...fence, lastId: '0-4' }, [row])).toEqual({ kind: 'ok', lastId: '0-5' });
  expect(await createDurableSink(topic, ends(1)).append(deps, { ...fence, lastId: '0-4' }, [row])).toEqual({ kind: 'lost', state: { epoch: '', lastId: '0-1' } });
});
