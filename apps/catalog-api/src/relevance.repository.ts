import type { MerchandisingRule, SynonymRule } from '@millrace/search';
import type { CatalogDb } from './database.ts';
import { listRules } from './rule.repository.ts';
import { listSynonyms } from './synonym.repository.ts';

/** Raised by every change of a synonym or a rule; what is read with it, or after it, has that change. */
export async function readRevision(db: CatalogDb): Promise<number> {
  return (await db.selectFrom('catalog.relevance_state').select('revision').executeTakeFirstOrThrow()).revision;
}

export interface StoredRelevance {
  readonly revision: number;
  readonly synonyms: readonly SynonymRule[];
  readonly rules: readonly MerchandisingRule[];
}

const ALL = { after: 0, limit: 1_000_000 };

/** All of one moment. Ids are text here: they are shown in explanations. */
export async function readRelevance(db: CatalogDb): Promise<StoredRelevance> {
  return db.transaction().setIsolationLevel('repeatable read').setAccessMode('read only').execute(async (trx) => ({
    revision: await readRevision(trx),
    synonyms: (await listSynonyms(trx, ALL)).map((synonym) => ({ ...synonym, id: String(synonym.id) })),
    rules: (await listRules(trx, ALL)).map((rule) => ({ ...rule, id: String(rule.id) })),
  }));
}
