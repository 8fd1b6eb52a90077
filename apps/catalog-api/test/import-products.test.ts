import { describe, expect, it } from '@jest/globals';
import { newProductSchema } from '@millrace/contracts';
import type { ImportLine } from '@millrace/contracts';
import { importInBatches } from '../src/import-products.ts';
import type { ImportPorts } from '../src/import-products.ts';
import type { ImportRow } from '../src/import-rows.ts';
import { createRowMapper } from '../src/map-row.ts';

const rowsOf = async function* (count: number, characters: number): AsyncGenerator<ImportRow> {
  for (let n = 0; n < count; n += 1) yield { line: n + 1, record: { sku: `s${n}`, name: 'x' }, characters };
};

function portsWith(over: Partial<ImportPorts> = {}): { ports: ImportPorts; batches: number[]; lines: ImportLine[] } {
  const batches: number[] = [];
  const lines: ImportLine[] = [];
  const ports: ImportPorts = {
    mapRow: createRowMapper({ mappings: [], currency: 'USD' }),
    findUnknownMerchants: async () => new Set(),
    applyBatch: async (products) => {
      batches.push(products.length);
      return { created: products.length, updated: 0, unchanged: 0 };
    },
    emit: async (line) => void lines.push(line),
    bytesRead: () => 0,
    ...over,
  };
  return { ports, batches, lines };
}

describe('importInBatches', () => {
  it('writes 1,000 rows at once, fewer where they are heavy, so that memory is bounded by bytes', async () => {
    const light = portsWith();
    await importInBatches(rowsOf(2_500, 700), light.ports);
    expect(light.batches).toEqual([1_000, 1_000, 500]);
    const heavy = portsWith();
    const { totals } = await importInBatches(rowsOf(40, 1_048_576), heavy.ports);
    expect(Math.max(...heavy.batches)).toBeLessThanOrEqual(10);
    expect(totals).toMatchObject({ rows: 40, created: 40, failed: 0 });
  });
  it('counts a row that cannot even be read as a bad row, and goes on', async () => {
    const good = createRowMapper({ mappings: [], currency: 'USD' });
    const { ports, lines } = portsWith({
      mapRow: (record) => {
        if (record['sku'] === 's1') throw new RangeError('Maximum call stack size exceeded');
        return good(record);
      },
    });
    expect((await importInBatches(rowsOf(3, 100), ports)).totals).toMatchObject({ rows: 3, created: 2, failed: 1 });
    expect(lines).toMatchObject([{ type: 'error', line: 2, code: 'malformed_row' }]);
  });
});

describe('a row', () => {
  it('is what POST /api/products takes', () => {
    expect(createRowMapper({ mappings: [], currency: 'USD' })({ sku: 'a', name: 'b' })).toMatchObject({ product: newProductSchema.parse({ sku: 'a', name: 'b', currency: 'USD' }) });
  });
});
