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
  /** By id, which is text here: it is shown in explanations. */
  readonly synonyms: readonly SynonymRule[];
  readonly rules: readonly MerchandisingRule[];
}

const NOTHING: StoredRelevance = { revision: 0, synonyms: [], rules: [] };
const ALL = { after: 0, limit: 1_000_000 };

/** All of one moment. Only what has changed since `known` is read; the rest are the same objects, so that nobody has to work on them again. */
export async function readRelevance(db: CatalogDb, known: StoredRelevance = NOTHING): Promise<StoredRelevance> {
  return db.transaction().setIsolationLevel('repeatable read').setAccessMode('read only').execute(async (trx) => {
    const revision = await readRevision(trx);
    // A database that was restored may have gone back: nothing that is known holds then.
    const { revision: since, synonyms, rules } = known.revision <= revision ? known : NOTHING;
    const changedSynonyms = (await listSynonyms(trx, { ...ALL, changedSince: since })).map((synonym) => ({ ...synonym, id: String(synonym.id) }));
    const changedRules = (await listRules(trx, { ...ALL, changedSince: since })).map((rule) => ({ ...rule, id: String(rule.id) }));
    const ids = async (table: 'catalog.synonyms' | 'catalog.rules'): Promise<number[]> => (await trx.selectFrom(table).select('id').orderBy('id').execute()).map(({ id }) => id);
    return { revision, synonyms: merge(synonyms, changedSynonyms, await ids('catalog.synonyms')), rules: merge(rules, changedRules, await ids('catalog.rules')) };
  });
}

function merge<T extends { readonly id: string }>(known: readonly T[], changed: readonly T[], ids: readonly number[]): readonly T[] {
  const byId = new Map([...known, ...changed].map((one) => [one.id, one]));
  return ids.flatMap((id) => byId.get(String(id)) ?? []);
}
