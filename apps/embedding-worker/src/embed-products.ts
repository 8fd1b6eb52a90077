import { EmbeddingUnavailableError, productText, textHash } from '@millrace/embedding';
import type { EmbedTexts } from '@millrace/embedding';
import type { Product } from '@millrace/contracts';
import type { ProjectedChange } from '@millrace/projection';
import type { VectorPayload, VectorRecord, VectorWriter } from '@millrace/vectors';
import type { KnownVector } from './reuse-vectors.ts';

/** A collection that is written now, and the model that it must be written with. */
export interface Target {
  readonly collection: string;
  readonly writer: VectorWriter;
  readonly embed: EmbedTexts;
}

/** One sku that changed for readers, and the categories it was and is in. `again`: it was stored at this very version before, by a call that may have been cut short. */
export interface ChangedItem { readonly sku: string; readonly version: number; readonly categories: readonly string[]; readonly again: boolean }

/** What came of a batch. */
export interface EmbedOutcome {
  /** What readers can see now. */
  readonly changed: readonly ChangedItem[];
  /** Products whose text only the model can bring on, and why it did not: they are stored as they were before. */
  readonly waiting?: { readonly skus: ReadonlySet<string>; readonly error: EmbeddingUnavailableError };
}

export const toPayload = (product: Product): VectorPayload => ({
  name: product.name, category: product.category, brand: product.brand, merchant_id: product.merchant_id, price_minor: product.price_minor, currency: product.currency,
  in_stock: product.stock !== 0, image_url: product.image_url,
});

const categoriesOf = (...categories: readonly (string | null | undefined)[]): string[] => [...new Set(categories.filter((category) => typeof category === 'string'))];

type Embeddable = Omit<VectorRecord, 'vector' | 'embeddedAt'> & { readonly text: string };
interface Options { readonly now?: () => Date; /** Vectors that need not be made again. */ readonly known?: KnownVector | undefined }

/**
 * Brings one collection to the given states, one per sku. Safe to call twice with the same changes, in any order: every write is guarded by
 * version. Text that is stored already (by its hash) is not embedded again. Where the model is away everything that needs none lands all the
 * same, and the rest is named. Resolves when readers can see it.
 */
export async function embedProducts({ writer, embed }: Target, changes: readonly ProjectedChange[], { now = () => new Date(), known: knownVector }: Options = {}): Promise<EmbedOutcome> {
  const stored = await writer.describe(changes.map((change) => change.sku));
  const texts: Embeddable[] = [];
  const sameTexts: Embeddable[] = [];
  const changed: ChangedItem[] = [];
  for (const { sku, version, product } of changes) {
    const known = stored.get(sku);
    if (known && known.version > version) continue;
    const again = known?.version === version;
    changed.push({ sku, version, categories: categoriesOf(known?.category, product?.category), again });
    if (!product || again) continue;
    const text = productText(product);
    const hash = textHash(text);
    const isSame = known && !known.deleted && known.textHash === hash;
    (isSame ? sameTexts : texts).push({ sku, version, text, textHash: hash, payload: toPayload(product) });
  }
  const tombstones = changes.filter((change) => !change.product && (stored.get(change.sku)?.version ?? 0) < change.version);
  if (tombstones.length > 0) await writer.remove(tombstones.map(({ sku, version }) => ({ sku, version })));
  if (sameTexts.length > 0) texts.push(...(await updatePayloads(writer, sameTexts)));
  const { vectors, waiting } = await vectorsOf(texts, embed, knownVector);
  const made = texts.filter(({ sku }) => vectors.has(sku));
  const embeddedAt = now().toISOString();
  if (made.length > 0) {
    await writer.upsert(made.map(({ text: _text, ...rest }): VectorRecord => {
      const vector = vectors.get(rest.sku);
      return { ...rest, ...(vector && { vector }), embeddedAt };
    }));
  }
  return waiting === undefined ? { changed } : { changed: changed.filter(({ sku }) => !waiting.skus.has(sku)), waiting };
}

/** Returns those whose vector has gone since it was looked at, by a delete or another text of another worker: they need one made. */
async function updatePayloads(writer: VectorWriter, sameTexts: readonly Embeddable[]): Promise<Embeddable[]> {
  await writer.updatePayload(sameTexts);
  const stored = await writer.describe(sameTexts.map(({ sku }) => sku));
  return sameTexts.filter(({ sku, version }) => (stored.get(sku)?.version ?? 0) < version);
}

/** By sku; undefined: its text has none. What is not there waits for the model. */
async function vectorsOf(texts: readonly Embeddable[], embed: EmbedTexts, known: KnownVector | undefined): Promise<{ readonly vectors: ReadonlyMap<string, Float32Array | undefined>; readonly waiting?: NonNullable<EmbedOutcome['waiting']> }> {
  const held = known === undefined ? [] : await Promise.all(texts.map(async ({ sku, textHash: hash }) => [sku, await known(sku, hash)] as const));
  const vectors = new Map<string, Float32Array | undefined>(held.filter(([, vector]) => vector !== undefined));
  const missing = texts.filter(({ sku }) => !vectors.has(sku));
  if (missing.length === 0) return { vectors };
  try {
    const made = await embed(missing.map(({ text }) => text));
    for (const [at, { sku }] of missing.entries()) vectors.set(sku, made[at]);
    return { vectors };
  } catch (error) {
    if (!(error instanceof EmbeddingUnavailableError)) throw error;
    return { vectors, waiting: { skus: new Set(missing.map(({ sku }) => sku)), error } };
  }
}
