import { openEmbedder, parseEmbeddingModel, textHash } from '@millrace/embedding';
import type { EmbedTexts, OpenRemoteEmbedder } from '@millrace/embedding';
import type { VectorModel, VectorReader } from '@millrace/vectors';
import { LRUCache } from 'lru-cache';
import { Counter } from 'prom-client';
import type { Registry } from 'prom-client';

export interface EmbeddedQuery {
  /** L2-normalised. */
  readonly vector: Float32Array;
  /** Cosine similarity that unrelated texts hardly reach. */
  readonly noise: number;
}

export interface QueryEmbedderDeps {
  readonly vectors: Pick<VectorReader, 'model'>;
  /** Of models that a service computes. */
  readonly openRemote: OpenRemoteEmbedder;
  /** Vectors of queries that are remembered; each takes four bytes a dimension. */
  readonly cacheSize: number;
  /** For models of services, which are all different; of TF-IDF it is known. */
  readonly remoteNoise: number;
  readonly metrics?: Registry;
}

export type EmbedQuery = (text: string) => Promise<EmbeddedQuery | undefined>;

/** The same words asked with other spaces are the same query. */
const normalise = (text: string): string => text.normalize('NFC').trim().replace(/\s+/g, ' ');

const nothing = Symbol('nothing');

/**
 * Embeds query texts by the live collection's model, which is opened once. Vectors are remembered by text and model, and texts that are asked for at
 * the same time are embedded once. Undefined: there is no model, or no term in the text. Rejects where the model cannot be asked; that is not remembered.
 */
export function createQueryEmbedder({ vectors, openRemote, cacheSize, remoteNoise, metrics }: QueryEmbedderDeps): EmbedQuery {
  const asked = metrics && new Counter({ name: 'query_vectors_total', help: 'Vectors of queries: remembered (hit), made (miss) or not to be had (failed)', labelNames: ['result'], registers: [metrics] });
  const remembered = new LRUCache<string, Float32Array | typeof nothing>({ max: cacheSize });
  const making = new Map<string, Promise<Float32Array | undefined>>();
  let known: { readonly id: string; readonly embed: Promise<EmbedTexts>; readonly noise: number } | undefined;

  const open = (model: VectorModel): NonNullable<typeof known> => {
    const parsed = parseEmbeddingModel(model.document);
    // Three standard deviations of the product of random unit vectors.
    const noise = parsed.kind === 'tfidf-hashed' ? 3 / Math.sqrt(model.dimensions) : remoteNoise;
    return { id: model.id, embed: openEmbedder(parsed, openRemote), noise };
  };
  const make = async (key: string, text: string, embed: Promise<EmbedTexts>): Promise<Float32Array | undefined> => {
    try {
      const [vector] = await (await embed)([text]);
      remembered.set(key, vector ?? nothing);
      return vector;
    } finally {
      making.delete(key);
    }
  };
  const vectorOf = async (key: string, text: string, embed: Promise<EmbedTexts>): Promise<Float32Array | undefined> => {
    const held = remembered.get(key);
    asked?.inc({ result: held === undefined ? 'miss' : 'hit' });
    if (held !== undefined) return held === nothing ? undefined : held;
    const running = making.get(key) ?? make(key, text, embed);
    making.set(key, running);
    return running.catch((error: unknown) => {
      asked?.inc({ result: 'failed' });
      throw error;
    });
  };
  return async (given) => {
    const model = await vectors.model();
    if (!model) return undefined;
    if (known?.id !== model.id) known = open(model);
    const { embed, noise } = known;
    const text = normalise(given);
    const vector = await vectorOf(`${model.id} ${textHash(text)}`, text, embed);
    return vector && { vector, noise };
  };
}
