import { once } from 'node:events';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { getTrace } from '@millrace/contracts';
import type { TraceBody } from '@millrace/contracts';
import { configSchema } from '../src/config.ts';
import { createProgram } from '../src/program.ts';

const example: TraceBody = getTrace.responses[200].example;
let server: Server;
let url: string;
let said: TraceBody;
const asked: string[] = [];
beforeAll(async () => {
  server = createServer((req, res) => {
    asked.push(req.url ?? '');
    res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(said));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  url = `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

async function run(...args: string[]): Promise<{ lines: string[]; failure: unknown }> {
  const lines: string[] = [];
  const config = configSchema.parse({ MILLRACE_URL: url, MILLRACE_API_KEY: 'k' });
  const failure: unknown = await createProgram({ config, env: {}, print: (line) => void lines.push(line), printError: () => undefined }).parseAsync(['trace', ...args], { from: 'user' }).then(() => undefined, (error: unknown) => error);
  return { lines, failure };
}

describe('millrace trace', () => {
  it('prints the findings, then what is on the bus', async () => {
    said = example;
    const { lines, failure } = await run('MR 0001');
    expect([failure, asked.at(-1)]).toEqual([undefined, '/api/admin/trace/MR%200001']);
    expect(lines.slice(0, -1)).toEqual(example.findings);
    expect(lines.at(-1)).toMatch(/ENTRY .*STATE.*\n1795248000004-0 +update +1204 .*es-sync-worker +acknowledged/);
  });
  it('fails where a store is behind, or something could not be asked', async () => {
    said = { ...example, in_sync: false };
    expect((await run('MR-0001')).failure).toMatchObject({ name: 'FailedError' });
    said = { ...example, in_sync: null, bus: { error: 'Redis does not answer', found: null } };
    const { lines, failure } = await run('MR-0001');
    expect([lines.at(-1), failure]).toEqual(['Redis does not answer', expect.objectContaining({ name: 'FailedError' })]);
  });
  it('prints JSON for programs', async () => {
    said = example;
    expect(JSON.parse((await run('MR-0001', '--json')).lines.join('\n'))).toEqual(example);
  });
  it('needs a sku', async () => {
    expect((await run()).failure).toMatchObject({ code: 'commander.missingArgument' });
  });
});
