import type { VectorEngineFeatures } from '@millrace/vectors';

/** What Milvus does by itself, and what it does not. */
export const milvusFeatures: VectorEngineFeatures = {
  exact: false,
  // It replaces rows without comparing: writers take turns by a lease in Redis.
  conditionalWrites: false,
  // With consistency Strong, the default.
  visibleAtOnce: true,
  // One AlterAlias.
  atomicSwap: true,
  anyDimensions: true,
};
