export * from './ports.ts';
export * from './errors.ts';
export { openEmbeddedVectorAdmin } from './embedded/admin.ts';
export { openEmbeddedVectorReader, type EmbeddedVectorReaderOptions } from './embedded/reader.ts';
