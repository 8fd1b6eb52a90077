export { createMemoryCounts } from './memory-counts.ts';
export type { MemoryCounts } from './memory-counts.ts';
