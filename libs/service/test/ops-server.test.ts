import { afterEach, describe, expect, it } from '@jest/globals';
import { Router } from 'express';
import { createHealth, createLogger, createMetrics } from '../src/index.ts';
import { startOpsServer } from '../src/ops-server.ts';

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

describe('the second port', () => {
  it('says that the service is starting until it has started: only then an unknown route is unknown', async () => {
    const [health, internal] = [createHealth(), Router()];
    const server = await startOpsServer({ host: '127.0.0.1', port: 0, metrics: createMetrics('test'), health, internal, logger: createLogger('test', 'silent') });
    closing.push(() => server.close());
    const ask = async (): Promise<unknown[]> => {
      const answer = await fetch(`http://127.0.0.1:${server.port}/internal/products/export`);
      return [answer.status, answer.headers.get('retry-after'), await answer.json()];
    };
    expect(await ask()).toMatchObject([503, '1', { code: 'unavailable', detail: 'the service is starting: try again' }]);
    internal.get('/products/export', (_req, res) => void res.json({ rows: 0 }));
    expect(await ask()).toEqual([200, null, { rows: 0 }]);
    health.started();
    expect(await ask()).toEqual([200, null, { rows: 0 }]);
    const unknown = await fetch(`http://127.0.0.1:${server.port}/internal/nothing`);
    expect([unknown.status, await unknown.json()]).toMatchObject([404, { code: 'not_found' }]);
  });
});
