import { digestsQuery, statesBody, versionsQuery } from '@millrace/contracts';
import type { DigestsBody, VersionsBody } from '@millrace/contracts';
import { parsePart } from '@millrace/http';
import { AppError } from '@millrace/service';
import express, { Router } from 'express';
import type { CatalogDb } from './database.ts';
import { readDigests, readLastVersion, readStates, readVersionPage } from './digest.repository.ts';

export interface DigestRoutesDeps {
  readonly readDb: CatalogDb;
}

/** What is absent stays absent. */
const rangeOf = ({ from, to }: { readonly from?: string | undefined; readonly to?: string | undefined }) => ({ ...(from !== undefined && { from }), ...(to !== undefined && { to }) });

function checkRange({ from, to }: { readonly from?: string | undefined; readonly to?: string | undefined }): void {
  if (from !== undefined && to !== undefined && Buffer.compare(Buffer.from(from), Buffer.from(to)) >= 0)
    throw new AppError('invalid_request', 'from is not before to', { details: [{ in: 'query', pointer: '/from', detail: 'must come before `to`, by bytes' }] });
}

/** For the reconcilers: `GET /internal/products/digests`, `GET /internal/products/versions`, `POST /internal/products/states`. */
export function digestRoutes({ readDb }: DigestRoutesDeps): Router {
  const router = Router();
  router.get('/products/digests', async (req, res) => {
    const query = parsePart(digestsQuery, req.query, 'query');
    checkRange(query);
    const buckets = await readDigests(readDb, rangeOf(query), query.buckets);
    const empty = { first: '', products: 0, digest: '0'.repeat(16) };
    const shown = (buckets.length === 0 ? [empty] : buckets).map(({ products, digest }, at) => ({
      from: at === 0 ? (query.from ?? null) : (buckets[at]?.first ?? null), to: buckets[at + 1]?.first ?? query.to ?? null, products, digest,
    }));
    res.json({ products: shown.reduce((sum, bucket) => sum + bucket.products, 0), buckets: shown } satisfies DigestsBody);
  });
  router.get('/products/versions', async (req, res) => {
    const query = parsePart(versionsQuery, req.query, 'query');
    checkRange(query);
    const page = await readVersionPage(readDb, { ...rangeOf(query), ...(query.after !== undefined && { after: query.after }) }, query.limit);
    const last = page.length < query.limit ? undefined : page.at(-1);
    res.json({ data: page.map(({ sku, version }): [string, number] => [sku, version]), next: last?.sku ?? null } satisfies VersionsBody);
  });
  router.post('/products/states', express.json({ limit: 1_048_576 }), async (req, res) => {
    const { skus } = parsePart(statesBody, req.body, 'body');
    const states = await readStates(readDb, skus);
    // After the rows: whatever they have is not above it.
    const lastVersion = await readLastVersion(readDb);
    res.type('application/json').send(`{"last_version":${lastVersion},"data":[${states.join(',')}]}`);
  });
  return router;
}
