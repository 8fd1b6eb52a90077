import { describe, expect, it } from '@jest/globals';
import { createTfIdfFitter, minFittedDocuments, modelId, parseModel, productText, serializeModel, textHash, unfittedModel } from '../src/index.ts';

const texts = Array.from({ length: 600 }, (_text, at) => `shirt ${at % 2 === 0 ? 'red' : 'blue'} model${at} year ${2_000 + (at % 30)} constructor`);
function fitOn(documents: readonly string[], maxTerms?: number) {
  const fitter = createTfIdfFitter(maxTerms === undefined ? { dimensions: 64 } : { dimensions: 64, maxTerms });
  for (const text of documents) fitter.add(text);
  return fitter.fit();
}

describe('the fitter', () => {
  it('leaves every idf at 1 below 500 products', () => {
    expect(fitOn(texts.slice(0, minFittedDocuments - 1))).toEqual(unfittedModel({ dimensions: 64 }));
    expect(fitOn(texts.slice(0, minFittedDocuments)).fittedOn).toBe(minFittedDocuments);
  });

  it('lists the terms that two products have, rarer ones with more weight, and gives the rest the weight of a single product', () => {
    const model = fitOn(texts);
    expect(Object.keys(model.idf)).not.toContain('model7');
    expect(model.idf['2007']).toBeGreaterThan(model.idf['red'] ?? Infinity);
    expect(model.idf['red']).toBeGreaterThan(model.idf['shirt'] ?? Infinity);
    expect(model.defaultIdf).toBeGreaterThan(model.idf['2007'] ?? Infinity);
    expect(model.idf['constructor']).toBe(model.idf['shirt']);
  });

  it('counts a term once a product', () => {
    const once = fitOn(texts);
    expect(fitOn(texts.map((text) => `${text} shirt shirts SHIRT`))).toEqual(once);
  });

  it('fits the same model in any order of the products', () => {
    expect(serializeModel(fitOn(texts.toReversed()))).toBe(serializeModel(fitOn(texts)));
  });

  it('keeps its memory bounded and the frequent terms when the vocabulary is larger than it may be', () => {
    const model = fitOn(texts, 100);
    expect(Object.keys(model.idf).length).toBeLessThanOrEqual(101);
    expect(model.idf['shirt']).toBe(fitOn(texts).idf['shirt']);
  });

  it('refuses dimensions that 16 buckets do not fit into', () => {
    expect(() => unfittedModel({ dimensions: 8 })).toThrow(/dimensions/);
  });
});

describe("the model's document", () => {
  it('comes back equal, with the same id, also when its terms are words of JavaScript or numbers', () => {
    const model = fitOn(texts);
    const again = parseModel(serializeModel(model));
    expect(again).toEqual(model);
    expect(serializeModel(again)).toBe(serializeModel(model));
    expect(modelId(again)).toBe(modelId(model));
  });

  it('has an id of its own for every change', () => {
    const model = fitOn(texts);
    const ids = [model, { ...model, fittedOn: 601 }, { ...model, idf: { ...model.idf, red: 2 } }, unfittedModel({ dimensions: 64 }), unfittedModel({ dimensions: 65 })].map(modelId);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids[0]).toMatch(/^[0-9a-f]{16}$/);
  });

  it.each(['', '{', '[]', '{"kind":"other"}', serializeModel({ ...unfittedModel({ dimensions: 64 }), bucketsPerTerm: 3 })])('refuses %j with one sentence', (document) => {
    expect(() => parseModel(document)).toThrow('not a document of a tfidf-hashed model');
  });
});

describe("a product's text", () => {
  it('is name, description and category, without what is missing', () => {
    expect(productText({ name: 'Shirt', description: null, category: 'Clothes' })).toBe('Shirt\nClothes');
    expect(productText({ name: 'Shirt', description: 'Red', category: '' })).toBe('Shirt\nRed');
  });

  it('has a hash that tells where one field ends and the next begins', () => {
    const hashes = [{ name: 'a b', description: null, category: null }, { name: 'a', description: 'b', category: null }].map((fields) => textHash(productText(fields)));
    expect(hashes[0]).not.toBe(hashes[1]);
    expect(hashes[0]).toMatch(/^[\w-]{22}$/);
  });
});
