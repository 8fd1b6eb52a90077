import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { getCache } from '@millrace/contracts';
import { runCommand, startFakeGateway } from './fake-gateway.ts';
import type { FakeGateway } from './fake-gateway.ts';

let gateway: FakeGateway;
let isDone = true;
const state = getCache.responses[200].example;
beforeAll(async () => { gateway = await startFakeGateway(({ path }) => ({ body: path.startsWith('GET') ? state : { done: isDone } })); });
afterAll(() => gateway.close());
beforeEach(() => gateway.forget());
const run = (...args: string[]) => runCommand(gateway.url, ['cache', ...args]);

describe('millrace cache', () => {
  it.each([
    [['sku:a', 'category:b'], { tags: ['sku:a', 'category:b'] }],
    [['--operation', 'searchProducts'], { operation: 'searchProducts' }],
    [['--all'], { all: true }],
  ])('purge %j sends %j', async (args, body) => {
    expect(await run('purge', ...args)).toMatchObject({ out: ['purged'], failure: undefined });
    expect(gateway.asked).toEqual([{ path: 'POST /api/admin/cache/purge', body }]);
  });
  it.each([[[]], [['sku:a', '--all']], [['--all', '--operation', 'getProduct']]])('purge %j is refused with a sentence, and nothing is sent', async (args) => {
    expect((await run('purge', ...args)).failure).toMatchObject({ name: 'UsageError', message: expect.stringMatching(/^say what to purge/) });
    expect(gateway.asked).toEqual([]);
  });
  it('fails where the cache could not be told yet', async () => {
    isDone = false;
    expect((await run('purge', '--all')).failure).toMatchObject({ name: 'FailedError' });
    isDone = true;
  });
  it('stats shows what share of calls each operation saved', async () => {
    const { out } = await run('stats');
    expect(out[0]).toMatch(/OPERATION.*\ngetProduct +300 s +232 +96 %/);
    expect(JSON.parse((await run('stats', '--json')).out.join('\n'))).toEqual(state);
  });
});
