import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { Router, static as serveStatic } from 'express';

const page = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Millrace API</title>
<link rel="stylesheet" href="/docs/assets/swagger-ui.css"></head>
<body><div id="api"></div><script src="/docs/assets/swagger-ui-bundle.js"></script><script src="/docs/start.js"></script></body></html>
`;
const start = `SwaggerUIBundle({ url: '/openapi.json', dom_id: '#api', deepLinking: true, persistAuthorization: true });\n`;

export interface Documents {
  /** Of the HTTP API; `/docs` shows it. */
  readonly openapi: unknown;
  /** Of the events. */
  readonly asyncapi: unknown;
}

/** `/openapi.json`, `/asyncapi.json` and `/docs`: Swagger UI from this machine, works offline. None needs a key. */
export function docsRoutes({ openapi, asyncapi }: Documents): Router {
  const router = Router();
  const assets = dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'));
  for (const [path, document] of [['/openapi.json', openapi], ['/asyncapi.json', asyncapi]] as const) {
    const json = JSON.stringify(document);
    router.get(path, (_req, res) => void res.type('json').send(json));
  }
  router.get('/docs', (_req, res) => void res.type('html').send(page));
  router.get('/docs/start.js', (_req, res) => void res.type('text/javascript').send(start));
  router.use('/docs/assets', serveStatic(assets, { index: false, maxAge: '1h' }));
  return router;
}
