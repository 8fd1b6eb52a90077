export { openPineconeVectorAdmin } from './admin.ts';
export type { PineconeOptions } from './client.ts';
export { pineconeFeatures } from './features.ts';
export { openPineconeVectorReader } from './reader.ts';
