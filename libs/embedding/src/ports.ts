/** Which terms weigh how much. Serialised as JSON it is the model's document; its id is the SHA-256 of that text. */
export interface TfIdfModel {
  readonly kind: 'tfidf-hashed';
  readonly dimensions: number;
  readonly bucketsPerTerm: number;
  /** Products that the document frequencies were counted on; 0 = unfitted, every idf is 1. */
  readonly fittedOn: number;
  /** Inverse document frequency of terms with df >= 2. */
  readonly idf: Readonly<Record<string, number>>;
  /** idf of a term that is not listed. */
  readonly defaultIdf: number;
}

/** Text to an L2-normalised vector; undefined when no term is left (a zero vector is never stored). */
export type Embed = (text: string) => Float32Array | undefined;

/** Texts to L2-normalised vectors, one for each text and in their order; undefined where a text has nothing to embed. Rejects as a whole, with EmbeddingUnavailableError where a later call may succeed. */
export type EmbedTexts = (texts: readonly string[]) => Promise<readonly (Float32Array | undefined)[]>;

/** A model that a service computes. Which service is not part of it: another address of the same model gives the same vectors. */
export interface RemoteModel {
  readonly kind: 'openai';
  readonly model: string;
  readonly dimensions: number;
}

/** A collection's model is one of these, kept as its document. */
export type EmbeddingModel = TfIdfModel | RemoteModel;

/** Collects document frequencies in one pass, bounded memory. */
export interface TfIdfFitter {
  add(text: string): void;
  readonly documents: number;
  fit(): TfIdfModel;
}
