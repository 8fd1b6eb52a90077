import { discardQuarantine, getQuarantined, listQuarantine, repairQuarantined, replayQuarantine } from '@millrace/contracts';
import type { DiscardedQuarantineBody, QuarantineChoiceBody, QuarantinedBody, QuarantinedDetailBody, QuarantineFilterBody } from '@millrace/contracts';
import { decodeCursor, encodeCursor, ok, route } from '@millrace/http';
import { AppError, notFound } from '@millrace/service';
import type { Identity } from '@millrace/service';
import { Router } from 'express';
import { z } from 'zod';
import { keptText } from './quarantine-text.ts';
import { deleteQuarantined, findQuarantined, findQuarantinedById, repairRow } from './quarantine.repository.ts';
import type { QuarantineRow } from './quarantine.repository.ts';
import { chosenBatches, missingOf, replayQuarantined } from './replay-quarantine.ts';
import type { ReplayDeps } from './replay-quarantine.ts';

const MASK = '***';
const PERSONAL = 'events:read';
const cursorSchema = z.string().regex(/^\d{1,18}$/);
const repairedSchema = z.object({ item: z.record(z.string(), z.unknown()) });

/** Who may read the context of a user may read what was refused of one. */
const seesPersons = ({ scopes }: Identity): boolean => scopes.includes(PERSONAL);

/** Who guesses must not be told that a guess is right. */
function checkFilter(identity: Identity, where: 'query' | 'body', { user }: QuarantineFilterBody): void {
  if (user === undefined || seesPersons(identity)) return;
  throw new AppError('forbidden', `to choose by user, the key needs the scope ${PERSONAL}, too`, { details: [{ in: where, pointer: where === 'query' ? '/user' : '/filter/user', detail: `needs the scope ${PERSONAL}` }] });
}

const toItem = (identity: Identity, row: Omit<QuarantineRow, 'raw'>): QuarantinedBody => ({
  id: row.id, received_at: row.received_at, route: row.route, place: row.place, key_id: row.key_id, event_id: row.event_id,
  user_id: row.user_id === null || seesPersons(identity) ? row.user_id : MASK, code: row.code, pointer: row.pointer, reason: row.reason,
  bytes: row.bytes, is_cut: row.is_cut, checked_at: row.checked_at, repaired_at: row.repaired_at,
});
const toDetail = (identity: Identity, row: QuarantineRow): QuarantinedDetailBody => ({ ...toItem(identity, row), raw: seesPersons(identity) ? row.raw : MASK });

async function discard({ pool }: ReplayDeps, choice: QuarantineChoiceBody): Promise<DiscardedQuarantineBody> {
  const missing = await missingOf(pool, choice);
  let count = 0;
  for await (const ids of chosenBatches(pool, choice)) count += choice.dry_run ? ids.length : await deleteQuarantined(pool, ids);
  return { count, missing, dry_run: choice.dry_run };
}

/** `/api/admin/quarantine`: what was refused as invalid. */
export function quarantineRoutes(deps: ReplayDeps): Router {
  const { pool } = deps;
  const router = Router();
  route(router, listQuarantine, async ({ query: { limit, cursor, ...filter }, identity }) => {
    checkFilter(identity, 'query', filter);
    const after = cursor === undefined ? '0' : decodeCursor(cursorSchema, cursor);
    const rows = await findQuarantined(pool, filter, { after, limit: limit + 1 });
    const page = rows.slice(0, limit);
    const last = page.at(-1);
    return ok({ data: page.map((row) => toItem(identity, row)), page: { next: rows.length > limit && last ? encodeCursor(last.id) : null, limit } });
  });
  route(router, getQuarantined, async ({ params: { id }, identity }) => {
    const row = await findQuarantinedById(pool, id);
    if (!row) throw notFound(`the quarantined event ${id}`);
    return ok(toDetail(identity, row));
  });
  route(router, repairQuarantined, async ({ params: { id }, req, body, identity }) => {
    const { raw, bytes } = keptText(repairedSchema.parse(req.body).item);
    const row = await repairRow(pool, id, { raw, bytes, userId: body.item.user_id, eventId: body.item.event_id });
    if (!row) throw notFound(`the quarantined event ${id}`);
    return ok(toDetail(identity, row));
  });
  route(router, replayQuarantine, async ({ body, identity }) => {
    checkFilter(identity, 'body', body.filter ?? {});
    return ok(await replayQuarantined(deps, body));
  });
  route(router, discardQuarantine, async ({ body, identity }) => {
    checkFilter(identity, 'body', body.filter ?? {});
    return ok(await discard(deps, body));
  });
  return router;
}
