import { createTfIdfEmbedder, parseModel } from '@millrace/embedding';
import type { Embed } from '@millrace/embedding';
import type { VectorReader } from '@millrace/vectors';

export interface EmbeddedQuery {
  /** L2-normalised. */
  readonly vector: Float32Array;
  /** Cosine similarity that unrelated texts hardly reach: three standard deviations of the product of random unit vectors, 3 / sqrt(dimensions). */
  readonly noise: number;
}

/** Embeds query texts by the live collection's model, which is parsed once for each model. Undefined: there is no model, or no term in the text. */
export function createQueryEmbedder(vectors: Pick<VectorReader, 'model'>): (text: string) => Promise<EmbeddedQuery | undefined> {
  let known: { readonly id: string; readonly embed: Embed } | undefined;
  return async (text) => {
    const model = await vectors.model();
    if (!model) return undefined;
    if (known?.id !== model.id) known = { id: model.id, embed: createTfIdfEmbedder(parseModel(model.document)) };
    const vector = known.embed(text);
    return vector && { vector, noise: 3 / Math.sqrt(model.dimensions) };
  };
}
