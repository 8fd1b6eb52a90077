import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createExportReader } from '../src/index.ts';
import type { ReadExport } from '../src/index.ts';

type Answer = (res: ServerResponse, req: IncomingMessage) => void;
const answers = new Map<string, Answer[]>();
const asked: string[] = [];
let server: Server;
let port = 0;

beforeAll(async () => {
  server = createServer((req, res) => {
    const name = /Bearer (.*)/.exec(req.headers.authorization ?? '')?.[1] ?? '';
    asked.push(`${name} ${req.url ?? ''}`);
    answers.get(name)?.shift()?.(res, req);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  port = typeof address === 'object' && address ? address.port : 0;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

const tombstone = (sku: string): string => `${JSON.stringify({ type: 'tombstone', sku, version: 1, updated_at: '2026-11-21T10:00:00.000000Z', after: sku })}\n`;
const watermark = (at: string, rows: number): string => `${JSON.stringify({ type: 'watermark', watermark: at, rows, complete: true })}\n`;
const whole = (at: string, ...skus: string[]): Answer => (res) => {
  res.setHeader('x-watermark', at);
  res.end(skus.map(tombstone).join('') + watermark(at, skus.length));
};
const broken = (at: string, ...skus: string[]): Answer => (res) => {
  res.setHeader('x-watermark', at);
  res.write(skus.map(tombstone).join(''), () => res.destroy());
};
function reader(name: string, ...given: Answer[]): ReadExport {
  answers.set(name, given);
  return createExportReader({ baseUrl: `http://127.0.0.1:${port}`, signer: { sign: async () => name }, service: name });
}
const at = (minute: number): string => `2026-11-21T10:0${minute}:00.000000Z`;

describe('the export reader', () => {
  it('takes a broken connection up where it broke and answers the first watermark, never a later one', async () => {
    const read = reader('r1', broken(at(1), 'a', 'b'), whole(at(2), 'c'));
    const skus: string[] = [];
    const done = await read({ batchSize: 1 }, async (changes) => void skus.push(...changes.map(({ sku }) => sku)));
    expect([skus, done]).toEqual([['a', 'b', 'c'], { watermark: at(1), rows: 3 }]);
    expect(asked.filter((line) => line.startsWith('r1'))).toEqual(['r1 /internal/products/export', 'r1 /internal/products/export?after=b']);
  });
  it('does not take an export without its last line for a whole one', async () => {
    const read = reader('r2', ...Array.from({ length: 6 }, () => (res: ServerResponse) => void res.end(tombstone('a'))));
    await expect(read({ batchSize: 100 }, async () => undefined)).rejects.toThrow('broke off');
  });
  it('rejects at once with what its sink rejects, and where it is refused', async () => {
    await expect(reader('r3', whole(at(1), 'a'))({ batchSize: 1 }, async () => Promise.reject(new Error('disk full')))).rejects.toThrow('disk full');
    await expect(reader('r4', (res) => void res.writeHead(403).end())({ batchSize: 1 }, async () => undefined)).rejects.toThrow('403');
    expect(asked.filter((line) => /^r[34]/.test(line)).length).toBe(2);
  });
});
