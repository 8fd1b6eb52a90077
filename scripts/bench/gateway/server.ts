// One server of the comparison, in a process of its own: node server.ts upstream|express, told where Redis is by the parent.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import express from 'express';
import { Redis } from 'ioredis';
import { z } from 'zod';
import { productBody } from './product.ts';

export const kinds = ['upstream', 'express'] as const;
export type ServerKind = (typeof kinds)[number];

const skuOf = (url: string): string => url.slice(url.lastIndexOf('/') + 1);

/** A service as plain as can be: every product is there. */
const upstream = (): Server =>
  createServer((req, res) => {
    const body = productBody(skuOf(req.url ?? ''), 1);
    res.writeHead(200, { 'content-type': 'application/json; charset=utf-8', 'content-length': Buffer.byteLength(body), etag: '"1.1"' }).end(body);
  });

/** What somebody writes on the first day: the same bytes from Redis. Without Express' own hash of each answer, which would cost it more. */
function expressServer(): Server {
  const redis = new Redis(z.string().parse(process.env['BENCH_REDIS_URL']));
  const app = express().disable('etag').disable('x-powered-by').get('/api/products/:sku', async (req, res) => {
    const body = await redis.get(`product:${req.params.sku}`);
    if (body === null) return res.sendStatus(404);
    return res.type('application/json').send(body);
  });
  return createServer(app);
}

if (import.meta.main) {
  // Nobody is left behind where the benchmark breaks off.
  process.once('disconnect', () => process.exit());
  const server = z.enum(kinds).parse(process.argv[2]) === 'upstream' ? upstream() : expressServer();
  // Connections outlive the turns of the others.
  server.keepAliveTimeout = 3_600_000;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  process.send?.({ port: typeof address === 'object' && address ? address.port : 0 });
}
