import type { VectorEngineFeatures } from './ports.ts';

export const embeddedFeatures: VectorEngineFeatures = { exact: true, conditionalWrites: true, visibleAtOnce: true, atomicSwap: true, anyDimensions: true };
/** Approximate without a filter; exact with one that up to 5,000 products pass. */
export const redisFeatures: VectorEngineFeatures = { exact: false, conditionalWrites: true, visibleAtOnce: true, atomicSwap: true, anyDimensions: true };
export const qdrantFeatures: VectorEngineFeatures = { exact: false, conditionalWrites: true, visibleAtOnce: true, atomicSwap: true, anyDimensions: true };
