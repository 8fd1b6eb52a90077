import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { runCommand, startFakeGateway } from './fake-gateway.ts';
import type { FakeGateway } from './fake-gateway.ts';

let gateway: FakeGateway;
const said = { from: '2026-01-01T00:00:00.000Z', to: '2026-02-01T00:00:00.000Z', added: 3, removed: 1 };
beforeAll(async () => { gateway = await startFakeGateway(() => ({ body: said })); });
afterAll(() => gateway.close());
const run = (...args: string[]) => runCommand(gateway.url, ['analytics', 'recount', ...args]);

describe('millrace analytics recount', () => {
  it('asks month by month, so that no call takes too long, and says what changed', async () => {
    const { out: lines, failure } = await run('--from', '2026-01-01', '--to', '2026-03-01T05:00:00Z');
    expect(failure).toBeUndefined();
    expect(lines).toEqual([1, 2].map(() => '2026-01-01T00:00:00.000Z to 2026-02-01T00:00:00.000Z: 3 added, 1 removed'));
    expect(gateway.asked.map(({ path, body }) => [path, body])).toEqual([
      ['POST /api/admin/analytics/recount', { from: '2026-01-01T00:00:00.000Z', to: '2026-02-01T00:00:00.000Z' }],
      ['POST /api/admin/analytics/recount', { from: '2026-02-01T00:00:00.000Z', to: '2026-03-01T05:00:00.000Z' }],
    ]);
  });
  it.each([
    [['--from', 'yesterday', '--to', '2026-01-01']],
    [['--from', '2026-01-02', '--to', '2026-01-01']],
  ])('refuses %j as wrong usage', async (args) => {
    expect((await run(...args)).failure).toMatchObject({ name: 'UsageError' });
  });
  it('needs both ends', async () => {
    expect((await run('--from', '2026-01-01')).failure).toMatchObject({ code: 'commander.missingMandatoryOptionValue' });
  });
});
