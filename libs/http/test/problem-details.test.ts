import { once } from 'node:events';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { AppError, createLogger } from '@millrace/service';
import express from 'express';
import { z } from 'zod';
import { problemDetails } from '../src/index.ts';

const lineSchema = z.looseObject({ msg: z.string(), route: z.string().optional(), untold: z.number().optional() });
const lines: z.output<typeof lineSchema>[] = [];
let nowMs = 0;
let server: Server;
beforeAll(async () => {
  const logger = createLogger('test', 'debug', { write: (line: string) => void lines.push(lineSchema.parse(JSON.parse(line))) });
  const fail = (error: Error) => (): never => { throw error; };
  const app = express()
    .get('/used-up/:id', fail(new AppError('pos_quota', 'used up'))).get('/away', fail(new AppError('unavailable', 'away'))).get('/bug', fail(new Error('a bug')))
    .use(problemDetails(logger, { nowMs: () => nowMs }));
  server = createServer(app).listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterAll(() => void server.close());
beforeEach(() => {
  lines.length = 0;
  nowMs += 60_000;
});

async function get(path: string, times = 1): Promise<void> {
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  for (let n = 0; n < times; n += 1) await (await fetch(`http://127.0.0.1:${port}${path}`)).arrayBuffer();
}
const told = () => lines.map(({ msg, route, untold }) => [msg, route, untold]);

describe('the log', () => {
  it('is told once in ten seconds of an expected failure that callers bring about as often as they like, and how many there were', async () => {
    await get('/used-up/1', 5);
    await get('/used-up/2', 5);
    expect(told()).toEqual([['request failed', '/used-up/:id', undefined]]);
    nowMs += 10_000;
    await get('/used-up/3', 2);
    expect(told().slice(1)).toEqual([['request failed', '/used-up/:id', 9]]);
  });
  it('is told of an expected failure of another route at once', async () => {
    await get('/used-up/1', 2);
    await get('/away', 2);
    expect(told().map(([, route]) => route)).toEqual(['/used-up/:id', '/away']);
  });
  it('is told of every bug', async () => {
    await get('/bug', 3);
    expect(told()).toEqual(Array.from({ length: 3 }, () => ['request failed', '/bug', undefined]));
  });
});
