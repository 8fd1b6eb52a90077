import { once } from 'node:events';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { DriftBody, VerificationBody } from '@millrace/contracts';
import { configSchema } from '../src/config.ts';
import { createProgram } from '../src/program.ts';

const clean: VerificationBody = {
  target: 'products-1', started_at: '2026-11-21T08:00:00.000Z', finished_at: '2026-11-21T08:00:01.000Z', products: 2000, stored: 2000, missing: 0, behind: 0, ghosts: 0, ahead: 0,
  in_flight: 0, repaired: 0, remaining: 0, examples: [],
};
const entry = (store: 'search' | 'vectors', verification: Partial<VerificationBody> = {}) => ({ store, verification: { ...clean, ...verification }, error: null });

let server: Server;
let url: string;
let asked: { path: string; body: unknown }[];
let said: DriftBody;
beforeAll(async () => {
  server = createServer((req, res) => {
    let text = '';
    req.on('data', (chunk: Buffer) => { text += chunk.toString(); });
    req.on('end', () => {
      asked.push({ path: `${req.method ?? ''} ${req.url ?? ''}`, body: text === '' ? undefined : JSON.parse(text) });
      res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(said));
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  url = `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});
beforeEach(() => {
  asked = [];
  said = { stores: [entry('search'), entry('vectors')] };
});

async function run(...args: string[]): Promise<{ lines: string[]; failure: unknown }> {
  const lines: string[] = [];
  const config = configSchema.parse({ MILLRACE_URL: url, MILLRACE_API_KEY: 'k' });
  const failure: unknown = await createProgram({ config, env: {}, print: (line) => void lines.push(line), printError: () => undefined }).parseAsync(['verify', ...args], { from: 'user' }).then(() => undefined, (error: unknown) => error);
  return { lines, failure };
}

describe('millrace verify', () => {
  it('compares both stores without repairing and is content where they are equal', async () => {
    const { lines, failure } = await run();
    expect(failure).toBeUndefined();
    expect(asked).toEqual([{ path: 'POST /api/admin/verify', body: { repair: false } }]);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/STORE.*DRIFT.*\nsearch +products-1 +2000/);
  });
  it('repairs one store where it is told to', async () => {
    said = { stores: [entry('vectors', { missing: 3, repaired: 3 })] };
    expect((await run('--repair', '--store', 'vectors')).failure).toBeUndefined();
    expect(asked).toEqual([{ path: 'POST /api/admin/verify', body: { repair: true, stores: ['vectors'] } }]);
  });
  it('fails on drift, names products that differ and says what mends it', async () => {
    said = { stores: [entry('search', { missing: 1, remaining: 1, examples: [{ sku: 'MR-7', kind: 'missing', wanted: 9, stored: null }] }), entry('vectors')] };
    const { lines, failure } = await run();
    expect(failure).toMatchObject({ name: 'FailedError' });
    expect(lines.slice(1)).toEqual(['search: MR-7 is missing (catalogue 9, store nothing)', 'search: run `millrace verify --repair` to mend it']);
  });
  it('says that a database was restored to an earlier state, and what mends that', async () => {
    said = { stores: [entry('search', { ahead: 2, remaining: 2, examples: [{ sku: 'MR-7', kind: 'ahead', wanted: 9, stored: 12 }] })] };
    const { lines, failure } = await run();
    expect(failure).toMatchObject({ name: 'FailedError' });
    expect(lines.at(-1)).toBe('search is ahead of the database, which was restored to an earlier state: run `millrace rebuild search`');
  });
  it('fails where a service could not be asked', async () => {
    said = { stores: [entry('search'), { store: 'vectors', verification: null, error: 'embedding-worker cannot be reached now' }] };
    const { lines, failure } = await run('--last');
    expect([asked[0]?.path, lines.at(-1)]).toEqual(['GET /api/admin/drift', 'vectors: embedding-worker cannot be reached now']);
    expect(failure).toMatchObject({ name: 'FailedError' });
  });
  it('prints JSON for programs', async () => {
    expect(JSON.parse((await run('--json')).lines.join('\n'))).toEqual(said);
  });
  it('refuses an unknown store with a sentence, and asks nobody', async () => {
    expect((await run('--store', 'cache')).failure).toMatchObject({ name: 'UsageError', message: 'there is no store cache: use search or vectors' });
    expect(asked).toEqual([]);
  });
});
