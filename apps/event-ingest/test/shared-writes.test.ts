import { PartialFailureError, SinkUnavailableError } from '@millrace/bus';
import { describe, expect, it } from '@jest/globals';
import type { Interaction } from '@millrace/contracts';
import { collectWrites } from '../src/collect.ts';
import type { KnownInteraction } from '../src/interaction.repository.ts';
import { keepDurable } from '../src/keep-durable.ts';
import { writeInteractions } from '../src/write-interactions.ts';

const event = (id: string): Interaction => ({
  type: 'view', user_id: '1', asin: 'A', month: '2026-11', category: null, brand: null, metadata: {}, meta: { id, timestamp: '2026-11-01T00:00:00.000Z', schema: 1, streamId: `${id}-0` },
});
const idsOf = (events: readonly KnownInteraction[]): readonly string[] => events.map(({ meta }) => meta.id);
/** A log that refuses statements with the event `bad` and is away for those with `away`. */
function createStore() {
  const written: string[] = [];
  const statements: (readonly string[])[] = [];
  return {
    written, statements,
    insert: async (events: readonly KnownInteraction[]): Promise<void> => {
      const ids = idsOf(events);
      statements.push(ids);
      if (ids.includes('away')) throw new SinkUnavailableError('away');
      if (ids.includes('bad')) throw new RangeError('refused');
      written.push(...ids);
    },
  };
}

describe('the writer', () => {
  const run = async (ids: readonly string[]) => {
    const store = createStore();
    let progress = 0;
    const error = await writeInteractions({ store, onWritten: () => void (progress += 1) })(ids.map(event)).catch((failure: unknown) => failure);
    return { ...store, progress, error };
  };
  it.each([{ ids: ['one'] }, { ids: ['one', 'two'] }, { ids: ['one', 'two', 'three'] }])('writes every event of a batch once: $ids', async ({ ids }) => {
    expect(await run(ids)).toMatchObject({ written: ids, progress: 1, error: undefined });
  });
  it('names only the events of the statement that was refused', async () => {
    const { error, written } = await run(['one', 'two', 'bad', 'four']);
    expect(written).toEqual(['one', 'two']);
    expect(error).toBeInstanceOf(PartialFailureError);
    expect(error).toMatchObject({ failures: new Map([['bad-0', new RangeError('refused')], ['four-0', new RangeError('refused')]]) });
  });
  it.each([{ ids: ['bad'] }, { ids: ['bad', 'bad'] }])('rejects as a whole where all is refused: $ids', async ({ ids }) => {
    expect((await run(ids)).error).toEqual(new RangeError('refused'));
  });
  it('counts nothing against an event while Postgres is away', async () => {
    expect((await run(['bad', 'away'])).error).toBeInstanceOf(SinkUnavailableError);
  });
});

describe('writes that are shared', () => {
  it('gives each caller its own results, and lets those that come meanwhile wait for the next write together', async () => {
    const writes: (readonly string[])[] = [];
    const gate = Promise.withResolvers<undefined>();
    const shared = collectWrites({
      write: async (events) => {
        writes.push(idsOf(events));
        await gate.promise;
        return idsOf(events);
      },
    });
    const first = shared.write([event('a')]);
    await new Promise((resolve) => void setImmediate(resolve));
    const later = [shared.write([event('b'), event('c')]), shared.write([event('d')])];
    gate.resolve(undefined);
    expect(await Promise.all([first, ...later])).toEqual([['a'], ['b', 'c'], ['d']]);
    expect(writes).toEqual([['a'], ['b', 'c', 'd']]);
  });
  it('lets nobody answer for an event of another that Postgres refuses', async () => {
    const store = createStore();
    const keep = keepDurable(store);
    const done = await Promise.allSettled([keep([event('a')]), keep([event('bad')]), keep([event('b')])]);
    expect(done.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(store.written).toEqual(['a', 'b']);
  });
  it('says that Postgres is away to all who share a write', async () => {
    const keep = keepDurable(createStore());
    const done = await Promise.allSettled([keep([event('a')]), keep([event('away')])]);
    expect(done.map((one) => one.status === 'rejected' && one.reason instanceof SinkUnavailableError)).toEqual([true, true]);
  });
});
