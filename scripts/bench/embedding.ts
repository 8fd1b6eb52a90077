// npm run bench -- embedding, or: node scripts/bench/embedding.ts. TF-IDF on one core, on icecat-19k (else on made-up texts).
import { createTfIdfEmbedder, createTfIdfFitter, productText, serializeModel, type TfIdfModel } from '@millrace/embedding';
import { loadIcecat } from '../eval/icecat.ts';
import { median } from './support/measure.ts';
import type { BenchRow } from './support/measure.ts';

const runs = 7;

function secondsOf(work: () => void): number {
  const start = performance.now();
  work();
  return (performance.now() - start) / 1_000;
}

function madeUpTexts(): string[] {
  const words = Array.from({ length: 8_000 }, (_word, at) => `w${((at * 2_654_435_761) >>> 0).toString(36)}`);
  return Array.from({ length: 20_000 }, (_text, text) => Array.from({ length: 40 }, (_word, at) => words[(text * 131 + at * at * 17) % words.length]).join(' '));
}

function fit(texts: readonly string[]): TfIdfModel {
  const fitter = createTfIdfFitter({ dimensions: 384 });
  for (const text of texts) fitter.add(text);
  return fitter.fit();
}

/** Rates are products a second on the thread that calls; an embedder starts each run with empty caches, as after a restart. */
export async function run(): Promise<BenchRow[]> {
  const products = loadIcecat()?.products;
  const texts = products?.map(productText) ?? madeUpTexts();
  const source = products === undefined ? 'made-up texts' : 'icecat-19k';
  const model = fit(texts);

  const fitSeconds = Array.from({ length: runs }, () => secondsOf(() => fit(texts)));
  const embedSeconds = Array.from({ length: runs }, () => {
    const embed = createTfIdfEmbedder(model);
    return secondsOf(() => texts.forEach((text) => embed(text)));
  });
  const rate = (seconds: readonly number[]): number => Math.round(texts.length / median(seconds));
  const row = { baseline: null, ratio: null };
  return [
    { ...row, operation: `embed, TF-IDF 384 x 16 buckets, ${source}`, value: rate(embedSeconds), unit: 'products/s', goal: '> 20,000', met: rate(embedSeconds) > 20_000 },
    { ...row, operation: `fit, ${source}`, value: rate(fitSeconds), unit: 'products/s', goal: '> 20,000', met: rate(fitSeconds) > 20_000 },
    { ...row, operation: 'model document', value: Math.round(serializeModel(model).length / 1_024), unit: 'KiB', goal: '', met: null },
  ];
}

if (import.meta.main) console.table(await run());
