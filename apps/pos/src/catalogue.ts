import { appliedSchema, statesSchema } from '@millrace/contracts';
import type { Applied, ApplyChanges, Product } from '@millrace/contracts';
import { AppError } from '@millrace/service';
import type { IdentitySigner } from '@millrace/service';
import type { z } from 'zod';

export interface Catalogue {
  /** Present products; deleted and unknown skus are not in the map. */
  states(skus: readonly string[]): Promise<ReadonlyMap<string, Product>>;
  /** In their order. Throws LateWriterError where a later writer has taken over. */
  apply(fence: number, changes: ApplyChanges['changes']): Promise<Applied['results']>;
}

/** A later holder of the lease has written: this one writes nothing any more. */
export class LateWriterError extends Error {
  override readonly name = 'LateWriterError';
}

export const SOURCE = 'pos';
const TIMEOUT_MS = 30_000;
const CONFLICT = 409;

/** The catalogue, by catalog-api's second port and under this service's own name. Rejects with upstream_unavailable where it cannot be asked. */
export function createCatalogue({ baseUrl, signer }: { readonly baseUrl: string; readonly signer: IdentitySigner }): Catalogue {
  const ask = async <S extends z.ZodType>(path: string, body: unknown, schema: S): Promise<z.output<S>> => {
    const unavailable = (cause: unknown): AppError => new AppError('upstream_unavailable', 'the catalogue cannot be reached now', { cause, headers: { 'Retry-After': '2' } });
    try {
      const token = await signer.sign('catalog-api', { subject: SOURCE, scopes: [] });
      const answer = await fetch(new URL(path, baseUrl), { method: 'POST', headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' }, body: JSON.stringify(body), signal: AbortSignal.timeout(TIMEOUT_MS) });
      if (answer.status === CONFLICT) throw new LateWriterError('a later writer has taken over');
      if (!answer.ok) throw unavailable(new Error(`catalog-api answered ${answer.status} to ${path}`));
      return schema.parse(await answer.json());
    } catch (error) {
      throw error instanceof AppError || error instanceof LateWriterError ? error : unavailable(error);
    }
  };
  return {
    async states(skus) {
      if (skus.length === 0) return new Map();
      const { data } = await ask('/internal/products/states', { skus }, statesSchema);
      return new Map(data.flatMap((state): [string, Product][] => (state.type === 'product' ? [[state.product.sku, state.product]] : [])));
    },
    apply: async (fence, changes) => (changes.length === 0 ? [] : (await ask('/internal/products/apply', { source: SOURCE, fence, changes }, appliedSchema)).results),
  };
}
