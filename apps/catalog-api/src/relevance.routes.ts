import * as contracts from '@millrace/contracts';
import type { RelevancePreview } from '@millrace/contracts';
import { decodeCursor, encodeCursor, formatEtag, ok, parseIfMatch, route } from '@millrace/http';
import type { Reply } from '@millrace/http';
import type { ProductSelector } from '@millrace/search';
import { Router } from 'express';
import type { Request } from 'express';
import { sql } from 'kysely';
import { z } from 'zod';
import type { CatalogDb, CatalogTrx } from './database.ts';
import type { LiveRelevance } from './live-relevance.ts';
import type { AcceptedVersions } from './relevance-tables.ts';
import * as rules from './rule.repository.ts';
import * as synonyms from './synonym.repository.ts';

export interface RelevanceRoutesDeps {
  readonly db: CatalogDb;
  readonly live: Pick<LiveRelevance, 'forQuery' | 'refresh' | 'revision'>;
  /** Tells the other instances. Returns at once and never throws: they also look by themselves. */
  readonly tellOthers: (revision: number) => void;
}

const listCursor = z.object({ i: z.int32().nonnegative() });
interface Stored { readonly id: number; readonly version: number }

const acceptedBy = (req: Request): AcceptedVersions => (req.get('if-match') === undefined ? '*' : parseIfMatch(req.get('if-match')));
const etagOf = ({ version }: Stored): string => formatEtag({ version, content_version: version });
const found = (stored: Stored): Reply => ok(stored, { ETag: etagOf(stored) });
const created = (path: string, stored: Stored): Reply => ({ status: 201, body: stored, headers: { ETag: etagOf(stored), Location: `${path}/${stored.id}` } });

interface PageQuery { readonly cursor?: string | undefined; readonly limit: number }
async function page(query: PageQuery, list: (page: { after: number; limit: number }) => Promise<readonly Stored[]>): Promise<Reply> {
  const after = query.cursor === undefined ? 0 : decodeCursor(listCursor, query.cursor).i;
  const rows = await list({ after, limit: query.limit + 1 });
  const data = rows.slice(0, query.limit);
  const last = rows.length > query.limit ? data.at(-1) : undefined;
  return ok({ data, page: { next: last ? encodeCursor({ i: last.id }) : null, limit: query.limit } });
}

/** Synonyms and merchandising rules. A change is in force on this instance when it is answered. */
export function relevanceRoutes({ db, live, tellOthers }: RelevanceRoutesDeps): Router {
  const router = Router();
  const change = async <T>(work: (trx: CatalogTrx) => Promise<T>): Promise<T> => {
    const result = await db.transaction().execute(async (trx) => {
      await sql`set local lock_timeout = '3s'`.execute(trx);
      return work(trx);
    });
    await live.refresh();
    tellOthers(live.revision() ?? 0);
    return result;
  };

  route(router, contracts.listSynonyms, ({ query }) => page(query, (wanted) => synonyms.listSynonyms(db, wanted)));
  route(router, contracts.createSynonym, async ({ body }) => created('/api/admin/synonyms', await change((trx) => synonyms.insertSynonym(trx, body))));
  route(router, contracts.getSynonym, async ({ params }) => found(await synonyms.getSynonym(db, params.id)));
  route(router, contracts.replaceSynonym, async ({ params, body, req }) => found(await change((trx) => synonyms.replaceSynonym(trx, params.id, body, acceptedBy(req)))));
  route(router, contracts.deleteSynonym, async ({ params, req }) => {
    await change((trx) => synonyms.deleteSynonym(trx, params.id, acceptedBy(req)));
    return { status: 204 };
  });

  route(router, contracts.listRules, ({ query }) => page(query, (wanted) => rules.listRules(db, wanted)));
  route(router, contracts.createRule, async ({ body }) => created('/api/admin/rules', await change((trx) => rules.insertRule(trx, body))));
  route(router, contracts.getRule, async ({ params }) => found(await rules.getRule(db, params.id)));
  route(router, contracts.replaceRule, async ({ params, body, req }) => found(await change((trx) => rules.replaceRule(trx, params.id, body, acceptedBy(req)))));
  route(router, contracts.deleteRule, async ({ params, req }) => {
    await change((trx) => rules.deleteRule(trx, params.id, acceptedBy(req)));
    return { status: 204 };
  });
  route(router, contracts.previewRelevance, async ({ query }) => ok(preview(live, query)));
  return router;
}

const toSelector = ({ skus, ...rest }: ProductSelector): RelevancePreview['hides'][number]['select'] => ({ ...rest, ...(skus && { skus: [...skus] }) });

interface PreviewQuery { readonly q?: string | undefined; readonly category?: string | undefined; readonly at?: string | undefined }
function preview(live: RelevanceRoutesDeps['live'], { q, category, at }: PreviewQuery): RelevancePreview {
  const search = { ...(q !== undefined && { q }), ...(category !== undefined && { category }) };
  const { expansions, merchandising } = live.forQuery(search, at === undefined ? new Date() : new Date(at));
  return {
    revision: live.revision() ?? 0,
    synonyms: expansions.map(({ rule, words, alternatives }) => ({ synonym: rule, words: words.join(' '), alternatives: alternatives.map((one) => one.join(' ')) })),
    pins: [...merchandising.pins],
    boosts: merchandising.boosts.map(({ rule, type, select }) => ({ rule, type, select: toSelector(select) })),
    hides: merchandising.hides.map(({ rule, select }) => ({ rule, select: toSelector(select) })),
  };
}
