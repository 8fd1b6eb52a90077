export * from './ports.ts';
export { createTfIdfEmbedder } from './embedder.ts';
export { createTfIdfFitter, minFittedDocuments } from './fitter.ts';
export { openEmbedder, type OpenRemoteEmbedder } from './embed-texts.ts';
export * from './errors.ts';
export { modelId, parseEmbeddingModel, parseModel, serializeModel, unfittedModel } from './model.ts';
export { productText, textHash, type EmbeddedFields } from './product-text.ts';
export { createTermWeigher, type TermWeights } from './sparse.ts';
