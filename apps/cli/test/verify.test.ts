import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { DriftBody, VerificationBody } from '@millrace/contracts';
import { runCommand, startFakeGateway } from './fake-gateway.ts';
import type { FakeGateway } from './fake-gateway.ts';

const clean: VerificationBody = {
  target: 'products-1', started_at: '2026-11-21T08:00:00.000Z', finished_at: '2026-11-21T08:00:01.000Z', products: 2000, stored: 2000, missing: 0, behind: 0, ghosts: 0, ahead: 0,
  in_flight: 0, repaired: 0, remaining: 0, examples: [],
};
const entry = (store: 'search' | 'vectors', verification: Partial<VerificationBody> = {}) => ({ store, verification: { ...clean, ...verification }, error: null });

let gateway: FakeGateway;
let said: DriftBody;
beforeAll(async () => { gateway = await startFakeGateway(() => ({ body: said })); });
afterAll(() => gateway.close());
beforeEach(() => {
  gateway.forget();
  said = { stores: [entry('search'), entry('vectors')] };
});
const run = (...args: string[]) => runCommand(gateway.url, ['verify', ...args]);

describe('millrace verify', () => {
  it('compares both stores without repairing and is content where they are equal', async () => {
    const { out: lines, failure } = await run();
    expect(failure).toBeUndefined();
    expect(gateway.asked).toEqual([{ path: 'POST /api/admin/verify', body: { repair: false } }]);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/STORE.*DRIFT.*\nsearch +products-1 +2000/);
  });
  it('repairs one store where it is told to', async () => {
    said = { stores: [entry('vectors', { missing: 3, repaired: 3 })] };
    expect((await run('--repair', '--store', 'vectors')).failure).toBeUndefined();
    expect(gateway.asked).toEqual([{ path: 'POST /api/admin/verify', body: { repair: true, stores: ['vectors'] } }]);
  });
  it('fails on drift, names products that differ and says what mends it', async () => {
    said = { stores: [entry('search', { missing: 1, remaining: 1, examples: [{ sku: 'MR-7', kind: 'missing', wanted: 9, stored: null }] }), entry('vectors')] };
    const { out: lines, failure } = await run();
    expect(failure).toMatchObject({ name: 'FailedError' });
    expect(lines.slice(1)).toEqual(['search: MR-7 is missing (catalogue 9, store nothing)', 'search: run `millrace verify --repair` to mend it']);
  });
  it('says that a database was restored to an earlier state, and what mends that', async () => {
    said = { stores: [entry('search', { ahead: 2, remaining: 2, examples: [{ sku: 'MR-7', kind: 'ahead', wanted: 9, stored: 12 }] })] };
    const { out: lines, failure } = await run();
    expect(failure).toMatchObject({ name: 'FailedError' });
    expect(lines.at(-1)).toBe('search is ahead of the database, which was restored to an earlier state: run `millrace rebuild search`');
  });
  it('fails where a service could not be asked', async () => {
    said = { stores: [entry('search'), { store: 'vectors', verification: null, error: 'embedding-worker cannot be reached now' }] };
    const { out: lines, failure } = await run('--last');
    expect([gateway.asked[0]?.path, lines.at(-1)]).toEqual(['GET /api/admin/drift', 'vectors: embedding-worker cannot be reached now']);
    expect(failure).toMatchObject({ name: 'FailedError' });
  });
  it('prints JSON for programs', async () => {
    expect(JSON.parse((await run('--json')).out.join('\n'))).toEqual(said);
  });
  it('refuses an unknown store with a sentence, and asks nobody', async () => {
    expect((await run('--store', 'cache')).failure).toMatchObject({ name: 'UsageError', message: 'there is no store cache: use search or vectors' });
    expect(gateway.asked).toEqual([]);
  });
});
