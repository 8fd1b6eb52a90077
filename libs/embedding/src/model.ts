import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { EmbeddingModel, RemoteModel, TfIdfModel } from './ports.ts';

const modelSchema = z
  .strictObject({
    kind: z.literal('tfidf-hashed'),
    dimensions: z.int().min(16).max(4_096),
    bucketsPerTerm: z.int().min(2).max(64).multipleOf(2),
    fittedOn: z.int().nonnegative(),
    idf: z.record(z.string(), z.number().positive()),
    defaultIdf: z.number().positive(),
  })
  .refine((model) => model.bucketsPerTerm <= model.dimensions, { path: ['bucketsPerTerm'], error: 'must not exceed dimensions' });

/** Weighs every term the same: right for a catalogue that is too small to count document frequencies on. Dimensions: 16 to 4,096. */
export function unfittedModel({ dimensions }: { dimensions: number }): TfIdfModel {
  if (!Number.isInteger(dimensions) || dimensions < 16 || dimensions > 4_096) throw new RangeError(`dimensions must be 16 to 4096, not ${dimensions}`);
  return { kind: 'tfidf-hashed', dimensions, bucketsPerTerm: 16, fittedOn: 0, idf: {}, defaultIdf: 1 };
}

/** The model's document: JSON with sorted keys, byte for byte the same for equal models. */
export function serializeModel(model: EmbeddingModel): string {
  if (model.kind === 'openai') return JSON.stringify({ kind: model.kind, model: model.model, dimensions: model.dimensions } satisfies RemoteModel);
  const { kind, dimensions, bucketsPerTerm, fittedOn, defaultIdf } = model;
  const head = JSON.stringify({ kind, dimensions, bucketsPerTerm, fittedOn, defaultIdf }).slice(1, -1);
  // Written by hand: an object would bring number-like terms ("2000") to the front.
  const idf = Object.entries(model.idf)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([term, weight]) => `${JSON.stringify(term)}:${weight}`);
  return `{${head},"idf":{${idf.join(',')}}}`;
}

/** Names the model: the first 16 hex digits of its document's SHA-256. Equal models have equal ids. */
export function modelId(model: EmbeddingModel): string {
  return createHash('sha256').update(serializeModel(model)).digest('hex').slice(0, 16);
}

/** Reads the document of a TF-IDF model. Throws when it is not one. */
export function parseModel(document: string): TfIdfModel {
  try {
    return modelSchema.parse(JSON.parse(document));
  } catch (error) {
    throw new Error('not a document of a tfidf-hashed model', { cause: error });
  }
}

const remoteModelSchema = z.strictObject({ kind: z.literal('openai'), model: z.string().min(1), dimensions: z.int().positive() });
const kindSchema = z.looseObject({ kind: z.string() });

/** Reads a model's document of any kind. Throws, naming the kind, where this program does not know it. */
export function parseEmbeddingModel(document: string): EmbeddingModel {
  const { kind } = kindSchema.parse(JSON.parse(document));
  if (kind === 'tfidf-hashed') return parseModel(document);
  if (kind === 'openai') return remoteModelSchema.parse(JSON.parse(document));
  throw new Error(`a model of kind ${kind} is not known here`);
}
