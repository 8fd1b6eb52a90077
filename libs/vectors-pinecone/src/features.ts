import type { VectorEngineFeatures } from '@millrace/vectors';

/** What Pinecone does by itself, and what it does not. */
export const pineconeFeatures: VectorEngineFeatures = {
  exact: false,
  // It replaces records without comparing: writers take turns by a lease in Redis.
  conditionalWrites: false,
  // Its reads follow its writes by seconds; a writer waits until it can read what it wrote, other readers may still be behind.
  visibleAtOnce: false,
  // Namespaces have no alias: a record names the live one, and readers look at it once a second.
  atomicSwap: false,
  // All namespaces of an index have its dimension.
  anyDimensions: false,
};
