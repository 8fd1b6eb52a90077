// npm run eval -- search-speed [--json FILE]: how long a search of icecat-19k takes (20 hits, facets, highlights, total), and what each extra adds to it.
// The kinds take turns, so that whatever else the machine does meets all of them.
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { compileRelevance } from '@millrace/search';
import type { Merchandising, SearchQuery } from '@millrace/search';
import { openEngines } from './engines.ts';
import type { Engine } from './engines.ts';
import { SYNONYMS } from './features.ts';
import { loadIcecat } from './icecat.ts';

const ROUNDS = 20;
const NOW = new Date('2026-11-21T00:00:00Z');

type Extra = (q: string) => Partial<SearchQuery>;

const relevance = compileRelevance({ synonyms: SYNONYMS, rules: [] });

const merchandisingFor = (skus: readonly string[]): Merchandising => ({
  pins: skus.slice(0, 3).map((sku) => ({ rule: 'pin', sku })),
  hides: [{ rule: 'hide', select: { skus: skus.slice(3, 6) } }],
  boosts: [{ rule: 'boost', type: 'boost', select: { brand: 'HP' } }, { rule: 'bury', type: 'bury', select: { brand: 'Lenovo' } }],
});

const percentile = (times: readonly number[], share: number): number => times.toSorted((a, b) => a - b)[Math.floor(times.length * share)] ?? 0;

async function measure(engine: Engine, queries: readonly string[], extras: Readonly<Record<string, Extra>>): Promise<object[]> {
  const reader = engine.openReader();
  const times = new Map<string, number[]>(Object.keys(extras).map((name) => [name, []]));
  const search = (q: string, extra: Extra) => reader.search({ q, currency: 'USD', sort: 'relevance', limit: 20, ...extra(q) });
  for (const q of queries) for (const extra of Object.values(extras)) await search(q, extra);
  for (let round = 0; round < ROUNDS; round++) {
    for (const q of queries) {
      for (const [name, extra] of Object.entries(extras)) {
        const started = performance.now();
        await search(q, extra);
        times.get(name)?.push(performance.now() - started);
      }
    }
  }
  return [...times].map(([name, all]) => ({ operation: `search of 19,406 products, ${engine.name}, ${name}`, value: Number(percentile(all, 0.5).toFixed(2)), unit: 'ms', p95: Number(percentile(all, 0.95).toFixed(2)), baseline: null, ratio: null, goal: '', met: null }));
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { json: { type: 'string' } }, allowPositionals: true });
  const icecat = loadIcecat();
  if (icecat === undefined) {
    console.log('search speed skipped: the shared data folder (MILLRACE_SHARED, else ../shared) has no icecat-19k');
    return;
  }
  const merchandising = merchandisingFor(icecat.products.map(({ sku }) => sku));
  const extras: Record<string, Extra> = {
    plain: () => ({}),
    'with synonyms': (q) => ({ expansions: relevance.forQuery({ q }, NOW).expansions }),
    'with 3 pins, 1 hide, 1 boost, 1 bury': () => ({ merchandising }),
    'with explanations': () => ({ explain: true }),
    'mistyped (an unknown word more)': (q) => ({ q: `${q} headphnes` }),
  };
  const { engines, close } = await openEngines(icecat.products);
  try {
    const rows = [];
    for (const engine of engines) rows.push(...(await measure(engine, icecat.queries.map(({ text }) => text), extras)));
    console.table(rows, ['operation', 'value', 'p95', 'unit']);
    if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(rows, undefined, 2)}\n`);
  } finally {
    await close();
  }
}

if (import.meta.main) await main();
