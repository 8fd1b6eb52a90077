// node examples/shop/server.ts: a shop of one page that tracks its visitors. Its secret key stays here, the page has the publishable one. Beside `npm start`
// run it by `npm run example`, which knows both keys.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';

const { MILLRACE_URL = 'http://127.0.0.1:8080', MILLRACE_API_KEY = '', MILLRACE_PUBLISHABLE_KEY = '', PORT = '8090' } = process.env;
if (MILLRACE_API_KEY === '' || MILLRACE_PUBLISHABLE_KEY === '') {
  console.error('set MILLRACE_API_KEY (scopes search:read, events:read) and MILLRACE_PUBLISHABLE_KEY (for http://localhost:8090), or run "npm run example" beside "npm start"');
  process.exit(2);
}

const page = readFileSync(join(import.meta.dirname, 'index.html'), 'utf8').replaceAll('{{MILLRACE_URL}}', MILLRACE_URL).replaceAll('{{PUBLISHABLE_KEY}}', MILLRACE_PUBLISHABLE_KEY);

async function passOn(res: ServerResponse, path: string): Promise<void> {
  const found = await fetch(new URL(path, MILLRACE_URL), { headers: { 'x-api-key': MILLRACE_API_KEY }, signal: AbortSignal.timeout(5_000) });
  res.writeHead(found.status, { 'content-type': 'application/json' }).end(await found.text());
}

/** Anonymous visitors only: of a member, a shop would take the id from its own session, never from the address. */
const visitorOf = (url: URL): string | undefined => /^anon:[0-9a-f]{32}$/.exec(url.searchParams.get('user') ?? '')?.[0];

async function answer(res: ServerResponse, url: URL): Promise<void> {
  const visitor = visitorOf(url);
  if (url.pathname === '/') res.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(page);
  else if (url.pathname === '/shop/products') await passOn(res, '/api/search?limit=12');
  else if (url.pathname === '/shop/context' && visitor !== undefined) await passOn(res, `/api/users/${visitor}/context`);
  else if (url.pathname === '/shop/recommendations' && visitor !== undefined) await passOn(res, `/api/recommendations?limit=8&user_id=${visitor}`);
  else res.writeHead(404).end();
}

createServer((req, res) => {
  answer(res, new URL(req.url ?? '/', 'http://localhost')).catch((error: unknown) => {
    console.error(error);
    res.writeHead(502).end();
  });
}).listen(Number(PORT), () => console.log(`shop on http://localhost:${PORT}`));
