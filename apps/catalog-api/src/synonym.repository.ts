import { RELEVANCE_LIMITS } from '@millrace/contracts';
import type { NewSynonym, Synonym } from '@millrace/contracts';
import { notFound } from '@millrace/service';
import type { CatalogDb, CatalogTrx } from './database.ts';
import { isoTime } from './iso-time.ts';
import { checkRoom, checkVersion } from './relevance-tables.ts';
import type { AcceptedVersions, ListPage } from './relevance-tables.ts';

const columns = ['id', 'version', 'kind', 'terms', 'means', isoTime('created_at').as('created_at'), isoTime('updated_at').as('updated_at')] as const;
type Row = Omit<Synonym, 'kind' | 'terms' | 'means'> & { readonly kind: 'equivalent' | 'one_way'; readonly terms: readonly string[]; readonly means: readonly string[] | null };

function toSynonym({ kind, terms, means, ...stored }: Row): Synonym {
  return kind === 'one_way' ? { ...stored, kind, terms: [...terms], means: [...(means ?? [])] } : { ...stored, kind, terms: [...terms] };
}
const toColumns = (synonym: NewSynonym) => ({ kind: synonym.kind, terms: synonym.terms, means: synonym.kind === 'one_way' ? synonym.means : null });
const unknown = (id: number): Error => notFound(`the synonym ${id}`);

/** By id, after the given one. */
export async function listSynonyms(db: CatalogDb, { after, limit, changedSince = 0 }: ListPage): Promise<readonly Synonym[]> {
  const rows = await db.selectFrom('catalog.synonyms').select(columns).where('id', '>', after).where('version', '>', changedSince).orderBy('id').limit(limit).execute();
  return rows.map(toSynonym);
}

export async function getSynonym(db: CatalogDb, id: number): Promise<Synonym> {
  const row = await db.selectFrom('catalog.synonyms').select(columns).where('id', '=', id).executeTakeFirst();
  if (!row) throw unknown(id);
  return toSynonym(row);
}

/** Throws conflict where there are as many as there may be. */
export async function insertSynonym(trx: CatalogTrx, synonym: NewSynonym): Promise<Synonym> {
  await checkRoom(trx, 'synonyms', RELEVANCE_LIMITS.synonyms);
  return toSynonym(await trx.insertInto('catalog.synonyms').values(toColumns(synonym)).returning(columns).executeTakeFirstOrThrow());
}

/** Throws precondition_failed where its version is not accepted. */
export async function replaceSynonym(trx: CatalogTrx, id: number, synonym: NewSynonym, accepted: AcceptedVersions): Promise<Synonym> {
  if (!(await checkVersion(trx, 'synonyms', id, accepted))) throw unknown(id);
  return toSynonym(await trx.updateTable('catalog.synonyms').set(toColumns(synonym)).where('id', '=', id).returning(columns).executeTakeFirstOrThrow());
}

export async function deleteSynonym(trx: CatalogTrx, id: number, accepted: AcceptedVersions): Promise<void> {
  if (!(await checkVersion(trx, 'synonyms', id, accepted))) throw unknown(id);
  await trx.deleteFrom('catalog.synonyms').where('id', '=', id).execute();
}
