import { describe, expect, it } from '@jest/globals';
import { eventually } from '@millrace/testing';
import { createOwedPurges } from '../src/owed-purges.ts';

/** A Redis that answers purges when, and as, the test says. */
function createSlowRedis() {
  const asked: { readonly tags: readonly string[] | undefined; readonly answer: (isDone: boolean) => void }[] = [];
  return { asked, purge: (tags: readonly string[] | undefined) => new Promise<boolean>((answer) => { asked.push({ tags, answer }); }) };
}

describe('purges that are owed', () => {
  it('are owed until each of them is done, also where one is tried again while another still is', async () => {
    const redis = createSlowRedis();
    const owed = createOwedPurges({ purge: redis.purge, retryMs: 1 });
    const [first, second] = [owed.add(['a']), owed.add(['b'])];
    redis.asked[0]?.answer(false);
    await first;
    await eventually(() => redis.asked.length === 3);
    redis.asked[1]?.answer(false);
    await second;
    await eventually(() => redis.asked.length === 4);
    redis.asked[2]?.answer(true);
    await new Promise((resolve) => { setImmediate(resolve); });
    expect([redis.asked.map(({ tags }) => tags), owed.isOwing()]).toEqual([[['a'], ['b'], ['a'], ['b']], true]);
    redis.asked[3]?.answer(true);
    await eventually(() => !owed.isOwing());
    owed.close();
  });

  it('of very many tags are one purge of everything', async () => {
    const redis = createSlowRedis();
    const owed = createOwedPurges({ purge: redis.purge, retryMs: 1 });
    const done = owed.add(Array.from({ length: 10_001 }, (_none, at) => `sku:${at}`));
    redis.asked[0]?.answer(true);
    await done;
    expect([redis.asked.map(({ tags }) => tags), owed.isOwing()]).toEqual([[undefined], false]);
  });
});
