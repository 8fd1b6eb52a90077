import type { EmbeddingModel, RemoteModel } from '@millrace/embedding';
import type { Config } from './config.ts';

/** What a collection's model must be, as configured; what TF-IDF was fitted on is not part of it. */
export type ModelDefinition = { readonly kind: 'tfidf-hashed'; readonly dimensions: number } | RemoteModel;

export const definitionOf = ({ EMBEDDING_PROVIDER: provider, OPENAI_EMBEDDING_MODEL: model, VECTOR_DIMENSION: dimensions }: Pick<Config, 'EMBEDDING_PROVIDER' | 'OPENAI_EMBEDDING_MODEL' | 'VECTOR_DIMENSION'>): ModelDefinition =>
  provider === 'openai' ? { kind: 'openai', model, dimensions } : { kind: 'tfidf-hashed', dimensions };

/** Another kind, model or dimension means other vectors: a collection of such a model is replaced. */
export const isDefinedAs = (model: EmbeddingModel, wanted: ModelDefinition): boolean =>
  model.kind === wanted.kind && model.dimensions === wanted.dimensions && (model.kind !== 'openai' || wanted.kind !== 'openai' || model.model === wanted.model);
