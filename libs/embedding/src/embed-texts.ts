import { createTfIdfEmbedder } from './embedder.ts';
import type { EmbedTexts, EmbeddingModel, RemoteModel } from './ports.ts';

/** Opens the embedder of a model that a service computes. May be asked again for the same model. */
export type OpenRemoteEmbedder = (model: RemoteModel) => Promise<EmbedTexts>;

/** The embedder of a model of any kind. TF-IDF is computed here, and never rejects. */
export async function openEmbedder(model: EmbeddingModel, openRemote: OpenRemoteEmbedder): Promise<EmbedTexts> {
  if (model.kind !== 'tfidf-hashed') return openRemote(model);
  const embed = createTfIdfEmbedder(model);
  return async (texts) => texts.map((text) => embed(text));
}
