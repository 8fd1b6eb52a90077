export { openRemoteEmbedders } from './open-embedders.ts';
export type { EmbeddingServiceConfig, OpenRemoteEmbeddersDeps, RemoteEmbedders } from './open-embedders.ts';
export { openVectorAdmin, openVectorReader } from './open-vectors.ts';
export type { VectorConfig } from './open-vectors.ts';
