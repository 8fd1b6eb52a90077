import { digestsSchema, statesSchema, versionsSchema } from '@millrace/contracts';
import type { DigestsBody, SkuRange } from '@millrace/contracts';
import type { z } from 'zod';
import { toProjected } from './export-reader.ts';
import type { ExportReaderDeps, ProjectedChange } from './export-reader.ts';

/** What the catalogue says about versions. */
export interface VersionSource {
  /** The range in `buckets` buckets of equal size, each with the digest of its (sku, version). */
  digests(range: SkuRange, buckets: number, signal?: AbortSignal): Promise<DigestsBody>;
  /** (sku, version) of what readers may find, by sku, in batches. */
  versions(range: SkuRange, signal?: AbortSignal): AsyncIterable<readonly { readonly sku: string; readonly version: number }[]>;
  /** Present states of at most 1,000 skus; those that the catalogue does not know are not in the map. `lastVersion`: the highest version ever drawn, read after them. */
  states(skus: readonly string[], signal?: AbortSignal): Promise<{ readonly known: ReadonlyMap<string, ProjectedChange>; readonly lastVersion: number }>;
}

const TIMEOUT_MS = 60_000;

const paramsOf = (range: SkuRange, more: Readonly<Record<string, string>>): URLSearchParams => new URLSearchParams({ ...range, ...more });

/** Asks catalog-api on its second port, under this service's own identity. Rejects with a plain error where it does not answer within a minute. */
export function createVersionSource({ baseUrl, signer, service }: ExportReaderDeps): VersionSource {
  const ask = async <S extends z.ZodType>(path: string, schema: S, { signal, body }: { signal: AbortSignal | undefined; body?: unknown }): Promise<z.output<S>> => {
    const token = await signer.sign('catalog-api', { subject: service, scopes: [] });
    const late = AbortSignal.timeout(TIMEOUT_MS);
    const answer = await fetch(new URL(path, baseUrl), {
      signal: signal ? AbortSignal.any([signal, late]) : late,
      headers: { authorization: `Bearer ${token}`, ...(body !== undefined && { 'content-type': 'application/json' }) },
      ...(body !== undefined && { method: 'POST', body: JSON.stringify(body) }),
    });
    if (!answer.ok) throw new Error(`catalog-api answered ${answer.status} to ${path.split('?')[0] ?? path}`);
    return schema.parse(await answer.json());
  };
  return {
    digests: (range, buckets, signal) => ask(`/internal/products/digests?${paramsOf(range, { buckets: String(buckets) }).toString()}`, digestsSchema, { signal }),
    versions: async function* (range, signal) {
      for (let after: string | null | undefined; after !== null; ) {
        const page: z.output<typeof versionsSchema> = await ask(`/internal/products/versions?${paramsOf(range, after === undefined ? {} : { after }).toString()}`, versionsSchema, { signal });
        yield page.data.map(([sku, version]) => ({ sku, version }));
        after = page.next;
      }
    },
    states: async (skus, signal) => {
      const { data, last_version: lastVersion } = await ask('/internal/products/states', statesSchema, { signal, body: { skus } });
      const known = new Map<string, ProjectedChange>();
      for (const state of data) {
        const change = state.type === 'tombstone' ? { sku: state.sku, version: state.version } : toProjected(state.product);
        known.set(change.sku, change);
      }
      return { known, lastVersion };
    },
  };
}
