import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { ErasureBody } from '@millrace/contracts';
import { runCommand, startFakeGateway } from './fake-gateway.ts';
import type { FakeGateway, Said } from './fake-gateway.ts';

const JOB = '2f4a7f0e-3d5b-4b8e-9a51-7a0d6c1f9e42';
const job = (more: Partial<ErasureBody> = {}): ErasureBody => ({
  job: JOB, state: 'running', phase: 'draining', requested_at: '2026-11-21T08:00:00.000Z', finished_at: null, names: 2, waiting_for: ['receipts of recommender'],
  receipts: [{ service: 'event-ingest', store: 'events.users', found: 2, erased: 2, due: 0 }], ...more,
});
const done = job({ state: 'done', phase: 'done', finished_at: '2026-11-21T08:00:02.000Z', waiting_for: [] });

let gateway: FakeGateway;
let said: Said[];
beforeAll(async () => { gateway = await startFakeGateway(() => said.shift() ?? { body: done }); });
afterAll(() => gateway.close());
beforeEach(() => {
  gateway.forget();
  said = [];
});

describe('millrace users', () => {
  it('starts erasing a user and shows the job, what it waits for, and the receipts', async () => {
    said = [{ status: 202, body: job() }];
    const { out, failure } = await runCommand(gateway.url, ['users', 'erase', 'anon:5/é']);
    expect(failure).toBeUndefined();
    expect(gateway.asked.map(({ path }) => path)).toEqual(['DELETE /api/users/anon%3A5%2F%C3%A9']);
    expect(out.slice(0, 2)).toEqual([`${JOB}: draining, 2 names`, 'waits for receipts of recommender']);
    expect(out[2]).toMatch(/SERVICE.*FOUND.*\nevent-ingest +events\.users +2 +2 +0/);
  });
  it('waits where it is told to, and tells what for', async () => {
    said = [{ status: 202, body: job({ phase: 'marking' }) }, { body: job() }, { body: done }];
    const { out, err } = await runCommand(gateway.url, ['users', 'erase', '7', '--wait']);
    expect(err).toEqual(['draining: receipts of recommender']);
    expect(out[0]).toBe(`${JOB}: done, 2 names`);
  });
  it('shows a job by its id, for programs too', async () => {
    const { out } = await runCommand(gateway.url, ['users', 'show-erasure', JOB, '--json']);
    expect(JSON.parse(out.join('\n'))).toEqual(done);
    expect(gateway.asked[0]?.path).toBe(`GET /api/admin/erasures/${JOB}`);
  });
  it.each([['erase', 'x'.repeat(201)], ['erase', ''], ['erase', '..'], ['show-erasure', '7']])('refuses %s %s before anything is asked', async (command, argument) => {
    expect((await runCommand(gateway.url, ['users', command, argument])).failure).toMatchObject({ name: 'UsageError' });
    expect(gateway.asked).toEqual([]);
  });
});
