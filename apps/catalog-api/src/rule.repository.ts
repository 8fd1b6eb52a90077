import { RELEVANCE_LIMITS } from '@millrace/contracts';
import type { NewRule, Rule } from '@millrace/contracts';
import { notFound } from '@millrace/service';
import type { CatalogDb, CatalogTrx } from './database.ts';
import { isoTime } from './iso-time.ts';
import { checkRoom, checkVersion } from './relevance-tables.ts';
import type { AcceptedVersions, ListPage } from './relevance-tables.ts';

const columns = [
  'id', 'version', 'query', 'category', 'action', isoTime('active_from').$castTo<string | null>().as('from'), isoTime('active_until').$castTo<string | null>().as('until'),
  isoTime('created_at').as('created_at'), isoTime('updated_at').as('updated_at'),
] as const;
type Row = Omit<Rule, 'query' | 'category' | 'from' | 'until'> & { readonly [K in 'query' | 'category' | 'from' | 'until']: string | null };

/** What is not given is not there: the body of an answer can be sent back as it is, but for what the server made. */
const toRule = ({ query, category, from, until, ...rest }: Row): Rule => ({
  ...rest, ...(query !== null && { query }), ...(category !== null && { category }), ...(from !== null && { from }), ...(until !== null && { until }),
});
/** Postgres takes no offset of 16 hours. */
const inUtc = (time: string | undefined): string | null => (time === undefined ? null : new Date(time).toISOString());
const toColumns = ({ query, category, from, until, action }: NewRule) => ({
  query: query ?? null, category: category ?? null, active_from: inUtc(from), active_until: inUtc(until), action: JSON.stringify(action),
});
const unknown = (id: number): Error => notFound(`the rule ${id}`);

/** By id, after the given one; whatever their period. */
export async function listRules(db: CatalogDb, { after, limit, changedSince = 0 }: ListPage): Promise<readonly Rule[]> {
  const rows = await db.selectFrom('catalog.rules').select(columns).where('id', '>', after).where('version', '>', changedSince).orderBy('id').limit(limit).execute();
  return rows.map(toRule);
}

export async function getRule(db: CatalogDb, id: number): Promise<Rule> {
  const row = await db.selectFrom('catalog.rules').select(columns).where('id', '=', id).executeTakeFirst();
  if (!row) throw unknown(id);
  return toRule(row);
}

/** Throws conflict where there are as many as there may be. */
export async function insertRule(trx: CatalogTrx, rule: NewRule): Promise<Rule> {
  await checkRoom(trx, 'rules', RELEVANCE_LIMITS.rules);
  return toRule(await trx.insertInto('catalog.rules').values(toColumns(rule)).returning(columns).executeTakeFirstOrThrow());
}

/** Throws precondition_failed where its version is not accepted. */
export async function replaceRule(trx: CatalogTrx, id: number, rule: NewRule, accepted: AcceptedVersions): Promise<Rule> {
  if (!(await checkVersion(trx, 'rules', id, accepted))) throw unknown(id);
  return toRule(await trx.updateTable('catalog.rules').set(toColumns(rule)).where('id', '=', id).returning(columns).executeTakeFirstOrThrow());
}

export async function deleteRule(trx: CatalogTrx, id: number, accepted: AcceptedVersions): Promise<void> {
  if (!(await checkVersion(trx, 'rules', id, accepted))) throw unknown(id);
  await trx.deleteFrom('catalog.rules').where('id', '=', id).execute();
}
