export * from './ports.ts';
export { SearchUnavailableError } from './errors.ts';
export { openEmbeddedSearchAdmin } from './embedded/admin.ts';
export type { EmbeddedSearchOptions } from './embedded/admin.ts';
export { openEmbeddedSearchReader } from './embedded/reader.ts';
export type { EmbeddedReaderOptions } from './embedded/reader.ts';
