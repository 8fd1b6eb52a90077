import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { getTrace } from '@millrace/contracts';
import type { TraceBody } from '@millrace/contracts';
import { runCommand, startFakeGateway } from './fake-gateway.ts';
import type { FakeGateway } from './fake-gateway.ts';

const example: TraceBody = getTrace.responses[200].example;
let gateway: FakeGateway;
let said: TraceBody;
beforeAll(async () => { gateway = await startFakeGateway(() => ({ body: said })); });
afterAll(() => gateway.close());
const run = (...args: string[]) => runCommand(gateway.url, ['trace', ...args]);

describe('millrace trace', () => {
  it('prints the findings, then what is on the bus', async () => {
    said = example;
    const { out: lines, failure } = await run('MR 0001');
    expect([failure, gateway.asked.at(-1)?.path]).toEqual([undefined, 'GET /api/admin/trace/MR%200001']);
    expect(lines.slice(0, -1)).toEqual(example.findings);
    expect(lines.at(-1)).toMatch(/ENTRY .*STATE.*\n1795248000004-0 +update +1204 .*es-sync-worker +acknowledged/);
  });
  it('fails where a store is behind, or something could not be asked', async () => {
    said = { ...example, in_sync: false };
    expect((await run('MR-0001')).failure).toMatchObject({ name: 'FailedError' });
    said = { ...example, in_sync: null, bus: { error: 'Redis does not answer', found: null } };
    const { out: lines, failure } = await run('MR-0001');
    expect([lines.at(-1), failure]).toEqual(['Redis does not answer', expect.objectContaining({ name: 'FailedError' })]);
  });
  it('prints JSON for programs', async () => {
    said = example;
    expect(JSON.parse((await run('MR-0001', '--json')).out.join('\n'))).toEqual(example);
  });
  it('needs a sku', async () => {
    expect((await run()).failure).toMatchObject({ code: 'commander.missingArgument' });
  });
});
