import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { answerAdmin } from './admin.ts';
import { answerApi, answerToken } from './api.ts';
import type { ApiDeps, Credentials } from './api.ts';
import { createHours } from './hours.ts';
import type { Hours } from './hours.ts';
import { readBody } from './read-body.ts';
import { createShop } from './shop.ts';
import type { Shop } from './shop.ts';
import type { z } from 'zod';
import { createTokens } from './tokens.ts';
import type { Tokens } from './tokens.ts';
import { createSky, sendFailure, weatherSchema } from './weather.ts';
import type { Weather } from './weather.ts';

export interface PosStubOptions {
  /** Default: any free one. */
  readonly port?: number;
  /** Default 127.0.0.1: there is nothing to protect it. */
  readonly host?: string;
  readonly products?: number;
  readonly credentials?: Credentials;
  /** Default 86,400, as the documentation has it. */
  readonly tokenSeconds?: number;
  /** A new token ends the ones before. */
  readonly singleToken?: boolean;
  /** GETs in an hour; default 5,000. */
  readonly hourlyLimit?: number;
  readonly weather?: z.input<typeof weatherSchema>;
}

export interface PosStub {
  readonly url: string;
  readonly tokenUrl: string;
  readonly credentials: Credentials;
  readonly shop: Shop;
  readonly tokens: Tokens;
  readonly hours: Hours;
  /** Requests by "GET /products". */
  readonly seen: ReadonlyMap<string, number>;
  setWeather(weather: z.input<typeof weatherSchema>): void;
  readonly weather: Weather;
  close(): Promise<void>;
}

/** Public on purpose: they open nothing but this imitation. */
export const stubCredentials: Credentials = { clientId: '83a5bcbe-0000-4000-8000-000000000001', clientSecret: 'STUB-0000-NOT-A-SECRET', retailer: 'quancaphe' };

async function answer(deps: ApiDeps & { readonly counts: Map<string, number> }, req: IncomingMessage, res: ServerResponse): Promise<void> {
  const url = new URL(req.url ?? '/', 'http://stub');
  const path = url.pathname;
  const method = req.method ?? 'GET';
  if (path.startsWith('/_stub/')) return answerAdmin(deps, { method, path, text: await readBody(req) }, res);
  const seen = `${method} ${path.replace(/\/\d+$/, '/{id}')}`;
  deps.counts.set(seen, (deps.counts.get(seen) ?? 0) + 1);
  const text = await readBody(req);
  const isToken = path === '/connect/token';
  if (await deps.sky.meet(req, res, path, isToken)) {
    if (method === 'GET') deps.hours.count();
    return;
  }
  if (isToken && method === 'POST') answerToken(deps, text, res);
  else answerApi(deps, req, { url, text }, res);
}

/**
 * A local imitation of KiotViet's public API for retail: tokens, lists with their parameters, the hour's limit, webhooks. In memory: it forgets
 * everything when it is stopped. Source: https://www.kiotviet.vn/huong-dan-su-dung-public-api-retail/ (2.1 to 2.12).
 */
export async function startPosStub({ port = 0, host = '127.0.0.1', products = 120, credentials = stubCredentials, tokenSeconds = 86_400, singleToken = false, hourlyLimit = 5_000, weather = { mode: 'fine' } }: PosStubOptions = {}): Promise<PosStub> {
  const counts = new Map<string, number>();
  const sky = createSky(weatherSchema.parse(weather));
  const deps = { shop: createShop(products), sky, tokens: createTokens({ single: singleToken }), hours: createHours(hourlyLimit), webhooks: new Map(), seen: counts, counts, credentials, tokenSeconds };
  const server = createServer((req, res) => {
    answer(deps, req, res).catch((error: unknown) => {
      if (!res.headersSent) sendFailure(res, 500, { errorCode: 'Exception', message: error instanceof Error ? error.message : 'failed' });
    });
  });
  server.listen(port, host);
  await once(server, 'listening');
  const address = server.address();
  const url = `http://${host}:${typeof address === 'object' && address !== null ? address.port : port}`;
  return {
    url, tokenUrl: `${url}/connect/token`, credentials, shop: deps.shop, tokens: deps.tokens, hours: deps.hours, seen: counts,
    setWeather: (next) => sky.set(weatherSchema.parse(next)),
    get weather() { return sky.now; },
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
