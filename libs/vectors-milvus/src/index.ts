export { openMilvusVectorAdmin } from './admin.ts';
export type { MilvusOptions, MilvusIndexOptions } from './client.ts';
export { milvusFeatures } from './features.ts';
export { openMilvusVectorReader } from './reader.ts';
