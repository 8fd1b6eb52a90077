export * from './ports.ts';
export * from './errors.ts';
export { openEmbeddedVectorAdmin } from './embedded/admin.ts';
export { openEmbeddedVectorReader, type EmbeddedVectorReaderOptions } from './embedded/reader.ts';
export type { QdrantOptions } from './qdrant/client.ts';
export { openQdrantVectorAdmin } from './qdrant/admin.ts';
export { openQdrantVectorReader } from './qdrant/reader.ts';
