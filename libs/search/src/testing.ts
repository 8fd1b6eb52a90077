/** The contract that every adapter of the search ports must satisfy. */
import { describe } from '@jest/globals';
import { describeAnswers } from './testing/answers.ts';
import type { OpenSearchAdapter } from './testing/fixture.ts';
import { describeIndexes, describeSuggestions } from './testing/indexes.ts';
import { describeMatching } from './testing/matching.ts';
import { describeRelevance } from './testing/relevance.ts';
import { describeStoredVersions } from './testing/stored-versions.ts';
import { describeVersions } from './testing/versions.ts';
import { describeVietnamese } from './testing/vietnamese.ts';

export { product, toChange, toTombstone } from './testing/fixture.ts';
export type { OpenSearchAdapter, SearchAdapter } from './testing/fixture.ts';

export interface SearchFeatures {
  /** Completions of what is being typed. An adapter without them answers suggest() with nothing. */
  readonly suggestions: boolean;
}

/** `openAdapter` gives each test an empty store of its own. */
export function describeSearchContract(name: string, features: SearchFeatures, openAdapter: OpenSearchAdapter): void {
  describe(`${name} satisfies the search contract`, () => {
    describe('versions', () => {
      describeVersions(openAdapter);
    });
    describe('stored versions', () => {
      describeStoredVersions(openAdapter);
    });
    describe('matching', () => {
      describeMatching(openAdapter);
    });
    describe('relevance', () => {
      describeRelevance(openAdapter);
    });
    describe('Vietnamese', () => {
      describeVietnamese(openAdapter);
    });
    describe('answers', () => {
      describeAnswers(openAdapter);
    });
    (features.suggestions ? describe : describe.skip)('suggestions', () => {
      describeSuggestions(openAdapter);
    });
    describe('indexes', () => {
      describeIndexes(openAdapter);
    });
  });
}
