// One server of the comparison, in a process of its own: node server.ts ours|get, told where its stores are by the parent.
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { authenticate, createHttpApp, startHttpServer } from '@millrace/http';
import { createHealth, createLogger, createMetrics, createServiceKeys, openIdentitySigner, openIdentityVerifier } from '@millrace/service';
import express from 'express';
import { Redis } from 'ioredis';
import { z } from 'zod';
import { configSchema } from '../../../apps/ut360-lookup/src/config.ts';
import { openLookup } from '../../../apps/ut360-lookup/src/open-lookup.ts';

export const kinds = ['ours', 'get'] as const;
export type ServerKind = (typeof kinds)[number];
const variables = z.object({ BENCH_REDIS_URL: z.string(), BENCH_DATABASE_URL: z.string(), BENCH_GENERATION: z.string() });
type Variables = z.output<typeof variables>;
const bodySchema = z.object({ isdns: z.array(z.string()) });

/** The service's own wiring at its own port, with a token that its verifier checks. */
async function serveOurs({ BENCH_REDIS_URL, BENCH_DATABASE_URL }: Variables): Promise<{ readonly port: number; readonly token: string }> {
  const directory = await mkdtemp(join(tmpdir(), 'millrace-bench-'));
  const keys = await createServiceKeys(['gateway']);
  const [jwks, key] = [join(directory, 'jwks.json'), join(directory, 'key.jwk')];
  await writeFile(jwks, JSON.stringify(keys.jwks));
  await writeFile(key, JSON.stringify(keys.privateKeys['gateway']), { mode: 0o600 });
  const config = configSchema.parse({ INTERNAL_JWKS_FILE: jwks, INTERNAL_KEY_FILE: key, UT360_REDIS_URL: BENCH_REDIS_URL, UT360_LOOKUP_DATABASE_URL: BENCH_DATABASE_URL });
  const [logger, metrics] = [createLogger('bench', 'warn'), createMetrics('bench')];
  const { handlers, direct } = await openLookup({ config, logger, metrics, health: createHealth(), onClose: () => undefined });
  const verifier = await openIdentityVerifier(jwks, 'ut360-lookup');
  const { port } = await startHttpServer(createHttpApp({ logger, metrics, handlers: [authenticate(verifier, ['gateway']), ...handlers], direct: direct(verifier) }), { host: '127.0.0.1', port: 0 });
  const signer = await openIdentitySigner(key);
  const sign = (): Promise<string> => signer.sign('ut360-lookup', { subject: 'bench', scopes: ['ut360:read'] });
  // A token lives for a minute.
  setInterval(() => void sign().then((token) => process.send?.({ port, token })), 5_000).unref();
  await rm(directory, { recursive: true });
  return { port, token: await sign() };
}

/** Bare Express handlers: one GET of ioredis, a ZREVRANGE with one MGET, HGETALL of both hashes of a thousand, parsed and stringified. */
async function serveGet({ BENCH_REDIS_URL, BENCH_GENERATION }: Variables): Promise<{ readonly port: number; readonly token: string }> {
  const redis = new Redis(BENCH_REDIS_URL);
  const of = (kind: string, isdn: string): string => `ut360:${BENCH_GENERATION}:${kind}:${isdn}`;
  const server = express().get('/api/ut360/services/:type/top', async (req, res) => {
    const isdns = await redis.zrevrange(of('idx:service', req.params.type), 0, 99);
    res.type('json').send(`[${(await redis.mget(isdns.map((isdn) => of('body', isdn)))).join(',')}]`);
  }).post('/api/ut360/lookup', express.json(), async (req, res) => {
    const pipeline = redis.pipeline();
    for (const isdn of bodySchema.parse(req.body).isdns) pipeline.hgetall(of('rec', isdn)).hgetall(of('profile', isdn));
    res.json((await pipeline.exec())?.map(([, hash]) => hash));
  }).get('/api/ut360/recommendations/:isdn', async (req, res) => {
    res.type('json').send(`{${(await redis.get(of('body', req.params.isdn))) ?? ''}`);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  // Kernel: a TCP server that listens has an address of this form.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return { port: (server.address() as AddressInfo).port, token: 'none' };
}

if (import.meta.main) {
  // Asked what it has used: microseconds of processor time.
  process.on('message', () => {
    const { user, system } = process.cpuUsage();
    process.send?.({ cpu: user + system });
  });
  const kind = z.enum(kinds).parse(process.argv[2]);
  process.send?.(await (kind === 'ours' ? serveOurs : serveGet)(variables.parse(process.env)));
}
