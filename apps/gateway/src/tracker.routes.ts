import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, dirname } from 'node:path';
import { Router } from 'express';

const HOUR = 'public, max-age=3600';
const FOR_EVER = 'public, max-age=31536000, immutable';

/**
 * `GET /millrace.js`: the tracking script, for pages of every origin; needs no key. Cached for an hour and then asked for again by its ETag; with `?v=` and
 * the ETag's text, for ever.
 */
export function trackerRoute(): Router {
  const router = Router();
  const script = readFileSync(join(dirname(createRequire(import.meta.url).resolve('@millrace/tracker/package.json')), 'millrace.js'));
  const version = createHash('sha256').update(script).digest('hex').slice(0, 16);
  router.get('/millrace.js', (req, res) => {
    res.set({ ETag: `"${version}"`, 'Cache-Control': req.query['v'] === version ? FOR_EVER : HOUR, 'Cross-Origin-Resource-Policy': 'cross-origin' });
    if (req.fresh) res.status(304).end();
    else res.type('text/javascript').send(script);
  });
  return router;
}
