/**
 * What is added to BM25, which stays below 500 in practice, so that each tier lies wholly above the next one; the same in every engine. Elasticsearch
 * scores are 32-bit floats: at 8,000 they tell 0.001 apart, at PIN_STEP * 100 pins still whole tiers.
 */
export const TIER = { sku: 8_000, code: 4_000, codeInWords: 2_000, allTerms: 1_000, asWritten: 500 } as const;

/** More than all tiers together: pins are in their order, whatever else they are. */
export const PIN_STEP = 32_768;
/** Factor of a boosted product's words. */
export const BOOST = 2;
/** Factor of a buried product's whole score: small enough to come after every other match, and in the same order among themselves. */
export const BURY = 1e-9;
/** Where no words were asked there are no scores: products of a higher group come first, the newest of each before the others. Pins: the first has the highest. */
export const GROUP = { buried: 0, normal: 1, boosted: 2, pinned: 3 } as const;
