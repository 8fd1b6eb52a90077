import type { SkuRange, StoredVersion } from '@millrace/contracts';

/** Filterable fields and what an answer shows of a product without asking Postgres. */
export interface VectorPayload {
  readonly name: string;
  readonly category: string | null;
  readonly brand: string | null;
  readonly merchant_id: number;
  readonly price_minor: number | null;
  readonly currency: string;
  readonly in_stock: boolean;
  readonly image_url: string | null;
}

export interface VectorRecord {
  readonly sku: string;
  readonly version: number;
  /** L2-normalised, never all zero (such a product gets a record without a vector: it is not similar to anything). */
  readonly vector?: Float32Array;
  /** Hash of the embedded text: unchanged text is not embedded again. */
  readonly textHash: string;
  readonly payload: VectorPayload;
  /** ISO 8601: when the vector was computed. */
  readonly embeddedAt: string;
}

export type PayloadChange = Pick<VectorRecord, 'sku' | 'version' | 'textHash' | 'payload'>;

export interface VectorTombstone { readonly sku: string; readonly version: number }

/** The embedding model of a collection, kept beside its vectors and never mixed: a JSON document named by its hash. */
export interface VectorModel { readonly id: string; readonly dimensions: number; readonly document: string }

export interface VectorWriter {
  /** Guarded by version: older than what is stored (also than a tombstone) changes nothing. Visible to readers when it resolves. */
  upsert(records: readonly VectorRecord[]): Promise<void>;
  remove(tombstones: readonly VectorTombstone[]): Promise<void>;
  /** Version, text hash and category of those that are stored (tombstones included, without textHash). */
  describe(skus: readonly string[]): Promise<ReadonlyMap<string, { version: number; textHash?: string; embeddedAt?: string; category?: string | null; deleted: boolean }>>;
  /** New payload and version beside the stored vector, where that is of the text with this hash: else, and where nothing or a tombstone is stored, nothing changes. Same guard. */
  updatePayload(changes: readonly PayloadChange[]): Promise<void>;
  close(): Promise<void>;
}

export interface SimilarQuery {
  readonly limit: number;
  readonly category?: string;
  readonly brand?: string;
  readonly excludeSkus: readonly string[];
}

export interface SimilarHit {
  readonly sku: string;
  /** Cosine similarity, -1 to 1. */
  readonly score: number;
  readonly payload: VectorPayload;
  readonly embeddedAt: string;
}

export interface VectorReader {
  /** The model of the collection that is read; undefined while there is none. */
  model(): Promise<VectorModel | undefined>;
  /** The stored record of one product, with its vector if it has one. Undefined for unknown skus and tombstones. */
  get(sku: string): Promise<VectorRecord | undefined>;
  /** Exact or approximate nearest neighbours, best first, ties by sku; the filter is applied inside the search, never after it. */
  nearest(vector: Float32Array, query: SimilarQuery): Promise<readonly SimilarHit[]>;
  /** Adapters: exact = recall is 1. */
  readonly exact: boolean;
  close(): Promise<void>;
}

/** Named physical collections behind the one live name. Used by embedding-worker alone. */
export interface VectorAdmin {
  liveCollection(): Promise<string | undefined>;
  /** An empty collection beside the live one, holding its model's document. Returns its name. */
  createCollection(model: VectorModel): Promise<string>;
  modelOf(collection: string): Promise<VectorModel>;
  openWriter(collection: string): Promise<VectorWriter>;
  /** Removes one that is not live, such as one whose build failed. Nothing where there is none. */
  dropCollection(collection: string): Promise<void>;
  /** Makes the collection live, atomically for readers. */
  swapTo(collection: string): Promise<void>;
  dropOthers(keep: readonly string[]): Promise<void>;
  /** Products with a vector in the collection. */
  count(collection: string): Promise<number>;
  /**
   * Version of every sku that readers can find or that is stored without a vector, tombstones left out; each sku once, in any order, in
   * batches; bounded memory. Only skus in `ranges` (absent: all; order of UTF-8 bytes). What changes meanwhile may be seen before or after.
   */
  readVersions(collection: string, ranges?: readonly SkuRange[], signal?: AbortSignal): AsyncIterable<readonly StoredVersion[]>;
  /** A reader of one physical collection, live or not (validation before a swap). Rejects where there is none. The caller closes it. */
  openReader(collection: string): Promise<VectorReader>;
  purgeTombstones(olderThanDays: number): Promise<number>;
  ping(): Promise<void>;
  close(): Promise<void>;
}

/** What an engine does by itself: docs/engines.md has all of them side by side, and the contract suite asks for no more than is declared. */
export interface VectorEngineFeatures {
  /** Recall is 1 and ties are ordered by sku also at the answer's end. */
  readonly exact: boolean;
  /** It compares versions and writes in one step. false: its writers take turns by a lease in Redis, one batch at a time. */
  readonly conditionalWrites: boolean;
  /** A write that has resolved is in every reader's next answer. false: soon, within seconds. */
  readonly visibleAtOnce: boolean;
  /** Every reader answers from the old or the new collection, never from none, and all from the same one once `swapTo` resolves. */
  readonly atomicSwap: boolean;
  /** Collections of other dimensions stand beside each other. false: another number needs another index of the service. */
  readonly anyDimensions: boolean;
}
