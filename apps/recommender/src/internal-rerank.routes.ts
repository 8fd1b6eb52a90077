import { randomUUID } from 'node:crypto';
import { rerankSchema } from '@millrace/contracts';
import type { InternalRerankAnswer } from '@millrace/contracts';
import { JSON_LIMIT_BYTES, parsePart } from '@millrace/http';
import express, { Router } from 'express';
import type { RankingLog } from './ranking-log.ts';
import { rerankForUser } from './recommend-for-user.ts';
import type { RecommendForUserDeps } from './recommend-for-user.ts';

export interface InternalRerankDeps extends RecommendForUserDeps {
  readonly log: Pick<RankingLog, 'add'>;
}

/** `POST /internal/rerank`, for searches with personalize=true: as POST /api/rerank, and only the order comes back. */
export function internalRerankRoutes(deps: InternalRerankDeps): Router {
  const router = Router();
  router.post('/rerank', express.json({ limit: JSON_LIMIT_BYTES }), async (req, res) => {
    const { user_id: userId, items, limit } = parsePart(rerankSchema, req.body, 'body');
    const { list, context } = await rerankForUser(deps, { userId, items, limit: limit ?? items.length });
    const rankingId = randomUUID();
    deps.log.add({ rankingId, userId, kind: 'rerank', servedAtMs: deps.now(), items: list.map(({ sku }) => ({ sku, stage: 'given' })) });
    res.json({ ranking_id: rankingId, data: list.map(({ sku }) => sku), context } satisfies InternalRerankAnswer);
  });
  return router;
}
