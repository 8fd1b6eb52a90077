import type { Client } from '@millrace/client/contract';
import { getDrift, verifyStores } from '@millrace/contracts';
import type { DriftBody, StoreName } from '@millrace/contracts';
import { renderTable } from '../table.ts';
import type { Column } from '../table.ts';
import { UsageError } from '../usage-error.ts';

type Entry = DriftBody['stores'][number];

const countOf = (name: 'products' | 'stored' | 'missing' | 'behind' | 'ghosts' | 'ahead' | 'in_flight' | 'repaired' | 'remaining') => ({ verification }: Entry): number | string => verification?.[name] ?? '-';
const columns: readonly Column<Entry>[] = [
  { head: 'STORE', of: ({ store }) => store },
  { head: 'INDEX', of: ({ verification }) => verification?.target ?? '-' },
  { head: 'PRODUCTS', of: countOf('products') },
  { head: 'FOUND', of: countOf('stored') },
  { head: 'MISSING', of: countOf('missing') },
  { head: 'BEHIND', of: countOf('behind') },
  { head: 'GHOSTS', of: countOf('ghosts') },
  { head: 'AHEAD', of: countOf('ahead') },
  { head: 'IN FLIGHT', of: countOf('in_flight') },
  { head: 'REPAIRED', of: countOf('repaired') },
  { head: 'DRIFT', of: countOf('remaining') },
  { head: 'AT', of: ({ verification }) => verification?.finished_at ?? '-' },
];

const stores: readonly StoreName[] = ['search', 'vectors'];
const isStore = (name: string): name is StoreName => stores.some((store) => store === name);

export interface VerifyOptions {
  readonly repair?: boolean;
  readonly store?: string;
}

/** Compares the stores with the catalogue now. */
export async function verify(client: Client, { repair = false, store }: VerifyOptions): Promise<DriftBody> {
  if (store !== undefined && !isStore(store)) throw new UsageError(`there is no store ${store}: use ${stores.join(' or ')}`);
  return (await client.call(verifyStores, { body: { repair, ...(store !== undefined && { stores: [store] }) } })).body;
}

export const drift = async (client: Client): Promise<DriftBody> => (await client.call(getDrift)).body;

function adviceOf({ store, verification, error }: Entry): string[] {
  if (error !== null) return [`${store}: ${error}`];
  if (!verification) return [`${store}: not verified yet`];
  const examples = verification.examples.slice(0, 5).map(({ sku, kind, wanted, stored }) => `${store}: ${sku} is ${kind} (catalogue ${wanted ?? 'unknown'}, store ${stored ?? 'nothing'})`);
  if (verification.ahead > 0) return [...examples, `${store} is ahead of the database, which was restored to an earlier state: run \`millrace rebuild ${store}\``];
  return verification.remaining > 0 ? [...examples, `${store}: run \`millrace verify --repair\` to mend it`] : [];
}

/** A table, what differs, and what to do. */
export const describeDrift = ({ stores: entries }: DriftBody): readonly string[] => [renderTable(columns, entries), ...entries.flatMap(adviceOf)];

/** true: every store was asked and equals the catalogue, but for changes on their way. */
export const isClean = ({ stores: entries }: DriftBody): boolean => entries.every(({ error, verification }) => error === null && verification?.remaining === 0);
