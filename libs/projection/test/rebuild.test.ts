import { describe, expect, it } from '@jest/globals';
import { rebuildBeside } from '../src/index.ts';
import type { ReadExport } from '../src/index.ts';

/** An export whose passes are given: the n-th call reads the n-th list of skus. */
function exportOf(passes: readonly (readonly string[] | Error)[]): { readExport: ReadExport; since: (string | undefined)[] } {
  const since: (string | undefined)[] = [];
  return {
    since,
    readExport: async ({ updatedSince }, onBatch) => {
      const pass = passes[since.push(updatedSince) - 1] ?? [];
      if (pass instanceof Error) throw pass;
      await onBatch(pass.map((sku) => ({ sku, version: 1 })));
      return { watermark: `w${since.length}`, rows: pass.length };
    },
  };
}
const many = (prefix: string): string[] => Array.from({ length: 300 }, (_, n) => `${prefix}${n}`);

describe('rebuildBeside', () => {
  it('reads everything, then from each watermark until little is left, swaps, and reads once more', async () => {
    const { readExport, since } = exportOf([many('a'), many('b'), ['c'], ['late']]);
    const filled: string[] = [];
    const rebuilt = await rebuildBeside({ readExport, batchSize: 10, fill: async (changes) => void filled.push(...changes.map(({ sku }) => sku)), swap: async () => void filled.push('SWAP') });
    expect(since).toEqual([undefined, 'w1', 'w2', 'w3']);
    expect(filled.slice(-3)).toEqual(['c', 'SWAP', 'late']);
    expect(rebuilt.rows).toBe(602);
  });
  it('never swaps where a pass before the swap fails', async () => {
    const { readExport } = exportOf([['a'], new Error('gone')]);
    let swaps = 0;
    await expect(rebuildBeside({ readExport, batchSize: 10, fill: async () => undefined, swap: async () => void (swaps += 1) })).rejects.toThrow('gone');
    expect(swaps).toBe(0);
  });
  it('repeats the pass after the swap until it succeeds: the swap cannot be taken back', async () => {
    const { readExport } = exportOf([['a'], [], new Error('gone'), ['late']]);
    const failures: unknown[] = [];
    const filled: string[] = [];
    await rebuildBeside({ readExport, batchSize: 10, fill: async (changes) => void filled.push(...changes.map(({ sku }) => sku)), swap: async () => undefined, onLatePassFailure: (error) => failures.push(error) });
    expect([filled, failures.length]).toEqual([['a', 'late'], 1]);
  });
});
