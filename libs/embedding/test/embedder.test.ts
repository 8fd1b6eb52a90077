import { describe, expect, it } from '@jest/globals';
import { createTfIdfEmbedder, unfittedModel } from '../src/index.ts';

const embed = createTfIdfEmbedder(unfittedModel({ dimensions: 384 }));
const vectorOf = (text: string): Float32Array => embed(text) ?? new Float32Array(384);
const similarity = (a: string, b: string): number => {
  const other = vectorOf(b);
  return vectorOf(a).reduce((sum, value, at) => sum + value * (other[at] ?? 0), 0);
};

describe('the TF-IDF embedder', () => {
  it('returns vectors of length 1 in the dimensions of its model', () => {
    const vector = vectorOf('Wireless headphones with noise cancelling, black, wireless');
    expect(vector).toHaveLength(384);
    expect(vector.reduce((sum, value) => sum + value * value, 0)).toBeCloseTo(1, 5);
  });

  it.each(['', '   ', '-- !! ..', 'the and of', '🎧🎧', '\u0000'])('has no vector for %j, which has no term', (text) => {
    expect(embed(text)).toBeUndefined();
  });

  it('gives the same numbers for the same text, whatever was embedded before and by whichever instance', () => {
    const fresh = createTfIdfEmbedder(unfittedModel({ dimensions: 384 }));
    for (let at = 0; at < 200; at++) embed(`another text ${at} headphones`);
    expect(fresh('noise cancelling headphones')).toEqual(embed('noise cancelling headphones'));
  });

  it('gives the same numbers after its bounded caches started afresh', () => {
    const before = embed('noise cancelling headphones, twice headphones');
    for (let text = 0; text < 35; text++) embed(Array.from({ length: 2_000 }, (_word, at) => `t${text}x${at}`).join(' '));
    expect(embed('noise cancelling headphones, twice headphones')).toEqual(before);
  });

  it.each([
    { name: 'case', a: 'Laptop BAG', b: 'laptop bag' },
    { name: 'accents', a: 'crème brûlée', b: 'creme brulee' },
    { name: 'Vietnamese tones and đ, composed or not', a: 'Điện thoại di động'.normalize('NFD'), b: 'dien thoai di dong' },
    { name: 'inflection', a: 'charging chargers', b: 'charge charger' },
    { name: 'stop words', a: 'a case for the phone', b: 'case phone' },
    { name: 'punctuation', a: 'usb-c/hdmi', b: 'USB C, HDMI.' },
    { name: 'full-width digits', a: '１２８ gb', b: '128 GB' },
  ])('does not tell texts apart by $name', ({ a, b }) => {
    expect(similarity(a, b)).toBeCloseTo(1, 5);
  });

  it('finds texts without a common term nearly unrelated, and shared terms similar', () => {
    const unrelated = Array.from({ length: 200 }, (_pair, at) => similarity(`alpha${at} beta${at} gamma${at}`, `delta${at} epsilon${at} zeta${at}`));
    const mean = unrelated.reduce((sum, value) => sum + value, 0) / unrelated.length;
    expect(Math.abs(mean)).toBeLessThan(0.02);
    expect(similarity('red cotton shirt', 'blue cotton shirt')).toBeGreaterThan(0.5);
  });

  it('counts a repeated term sublinearly', () => {
    expect(similarity('shirt shirt shirt shirt red', 'shirt')).toBeLessThan(similarity('shirt', 'shirt'));
    expect(similarity('shirt shirt shirt shirt red', 'red')).toBeGreaterThan(0.3);
  });

  it('weighs terms by the model, by its default where it lists none', () => {
    const weighted = createTfIdfEmbedder({ ...unfittedModel({ dimensions: 384 }), fittedOn: 1_000, idf: { shirt: 1, red: 3 }, defaultIdf: 5 });
    const dot = (a: string, b: string): number => (weighted(a) ?? new Float32Array(384)).reduce((sum, value, at) => sum + value * (weighted(b)?.[at] ?? 0), 0);
    expect(dot('red shirt', 'red')).toBeGreaterThan(dot('red shirt', 'shirt'));
    expect(dot('red constructor', 'constructor')).toBeGreaterThan(dot('red constructor', 'red'));
  });
});
