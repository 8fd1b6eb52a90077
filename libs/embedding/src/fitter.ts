import { unfittedModel } from './model.ts';
import type { TfIdfFitter, TfIdfModel } from './ports.ts';
import { termOf } from './terms.ts';
import { forEachToken } from './tokenize.ts';

/** Below this many products document frequencies are noise: every idf is 1. */
export const minFittedDocuments = 500;

interface Frequency { documents: number; last: number }

/**
 * Memory is bounded: at `maxTerms` different terms those of the lowest frequency are forgotten (they come back with what follows,
 * as in lossy counting), so a frequency may be too low by a few, never too high. The result does not depend on the texts' order
 * as long as the vocabulary stays below the limit.
 */
export function createTfIdfFitter({ dimensions, maxTerms = 500_000 }: { dimensions: number; maxTerms?: number }): TfIdfFitter {
  const frequencies = new Map<string, Frequency>();
  const termByToken = new Map<string, string | null>();
  let documents = 0;

  const cachedTermOf = (token: string): string | null => {
    const cached = termByToken.get(token);
    if (cached !== undefined) return cached;
    if (termByToken.size >= maxTerms) termByToken.clear();
    const term = termOf(token) ?? null;
    termByToken.set(token, term);
    return term;
  };

  return {
    add(text) {
      documents++;
      forEachToken(text, (token) => {
        const term = cachedTermOf(token);
        if (term === null) return;
        const frequency = frequencies.get(term);
        if (frequency === undefined) frequencies.set(term, { documents: 1, last: documents });
        else if (frequency.last !== documents) {
          frequency.documents++;
          frequency.last = documents;
        }
      });
      if (frequencies.size > maxTerms) prune(frequencies, maxTerms);
    },
    get documents() {
      return documents;
    },
    fit: () => (documents < minFittedDocuments ? unfittedModel({ dimensions }) : fitted(frequencies, { dimensions, documents })),
  };
}

function prune(frequencies: Map<string, Frequency>, maxTerms: number): void {
  for (let lowest = 1; frequencies.size > maxTerms * 0.75; lowest++) {
    for (const [term, { documents }] of frequencies) if (documents <= lowest) frequencies.delete(term);
  }
}

function fitted(frequencies: ReadonlyMap<string, Frequency>, { dimensions, documents }: { dimensions: number; documents: number }): TfIdfModel {
  const idf: [string, number][] = [];
  for (const [term, frequency] of frequencies) {
    if (frequency.documents >= 2) idf.push([term, idfOf(frequency.documents, documents)]);
  }
  return {
    ...unfittedModel({ dimensions }),
    fittedOn: documents,
    idf: Object.fromEntries(idf.toSorted(([a], [b]) => (a < b ? -1 : 1))),
    defaultIdf: idfOf(1, documents),
  };
}

/** Smoothed: ln((1 + N) / (1 + df)) + 1. Four decimals: more only make the document longer. */
function idfOf(frequency: number, documents: number): number {
  return Math.round((Math.log((1 + documents) / (1 + frequency)) + 1) * 1e4) / 1e4;
}
