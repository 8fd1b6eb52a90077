import { Readable } from 'node:stream';
import { constants, gunzipSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from '@jest/globals';
import { BrokenUploadError, importRows } from '../src/import-rows.ts';
import type { ImportFormat, ImportRow } from '../src/import-rows.ts';

async function read(data: Buffer | string, format: ImportFormat, chunkBytes = 7): Promise<{ rows: ImportRow[]; error?: unknown }> {
  const bytes = Buffer.from(data);
  const chunks = Array.from({ length: Math.ceil(bytes.length / chunkBytes) }, (_, at) => bytes.subarray(at * chunkBytes, (at + 1) * chunkBytes));
  const rows: ImportRow[] = [];
  try {
    for await (const row of importRows(Readable.from(chunks), format)) rows.push(row);
    return { rows };
  } catch (error) {
    return { rows, error };
  }
}
const ndjson: ImportFormat = { format: 'ndjson' };
const csv: ImportFormat = { format: 'csv' };

describe('importRows', () => {
  it('reads NDJSON with a byte order mark, CRLF, empty lines and no newline at its end', async () => {
    expect((await read('\uFEFF{"a":1}\r\n\n{"a":"đ"}', ndjson)).rows).toEqual([{ line: 1, record: { a: 1 }, characters: 8 }, { line: 3, record: { a: 'đ' }, characters: 9 }]);
  });
  it('reports a malformed line and goes on behind it', async () => {
    expect((await read('{"a":1}\n{oops\n[1]\n{"a":2}\n', ndjson)).rows).toMatchObject([{ line: 1, record: {} }, { line: 2, problem: { code: 'malformed_row' } }, { line: 3, problem: {} }, { line: 4, record: { a: 2 } }]);
  });
  it('unpacks gzip whatever it is called', async () => {
    expect((await read(gzipSync('{"a":1}\n{"a":2}\n'), ndjson)).rows).toHaveLength(2);
  });
  it('yields the rows before the damage of a truncated gzip, then throws', async () => {
    const text = Array.from({ length: 5_000 }, (_, n) => `{"n":${n},"r":"${Math.sin(n)}"}`).join('\n');
    const packed = gzipSync(text);
    const { rows, error } = await read(packed.subarray(0, packed.length / 2), ndjson, 1_000);
    expect(rows.length).toBeGreaterThan(1_000);
    expect(rows[1_000]).toMatchObject({ line: 1_001, record: { n: 1_000 } });
    expect(error).toMatchObject({ code: 'Z_BUF_ERROR' });
  });
  it('loses no row that zlib can still unpack, however slowly they are read', async () => {
    const packed = gzipSync(Array.from({ length: 20_000 }, (_, n) => `{"n":${n},"r":"${Math.sin(n)}"}\n`).join(''));
    const half = packed.subarray(0, packed.length / 2);
    const expected = gunzipSync(half, { finishFlush: constants.Z_SYNC_FLUSH }).toString().split('\n').length - 1;
    let lines = 0;
    const reading = (async () => {
      for await (const row of importRows(Readable.from([half]), ndjson)) {
        if ('record' in row) lines += 1;
        if (lines % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    await expect(reading).rejects.toMatchObject({ code: 'Z_BUF_ERROR' });
    expect(lines).toBe(expected);
  });
  it('bounds a line: a longer one is reported, the next one read', async () => {
    expect((await read(`{"a":"${'x'.repeat(1_100_000)}"}\n{"a":2}\n`, ndjson, 65_536)).rows).toMatchObject([{ line: 1, problem: { code: 'row_too_large' } }, { line: 2, record: { a: 2 } }]);
  });
  it('reads UTF-16 by its byte order mark, and other encodings by name', async () => {
    expect((await read(Buffer.from('\uFEFF{"a":"đường"}\n', 'utf16le'), ndjson)).rows).toMatchObject([{ record: { a: 'đường' } }]);
    expect((await read(Buffer.from([0x61, 0x2c, 0x62, 0x0a, 0xe9, 0x2c, 0x31, 0x0a]), { ...csv, encoding: 'windows-1252' })).rows).toMatchObject([{ record: { a: 'é', b: '1' } }]);
  });
  it('refuses an unknown encoding', async () => {
    expect((await read('x', { ...csv, encoding: 'klingon' })).error).toMatchObject({ code: 'invalid_request' });
  });
  it('reads CSV with quotes, quoted newlines and another delimiter', async () => {
    expect((await read('sku;name\n1;"a ""b"";\nc"\n2;d\n', { ...csv, delimiter: ';' })).rows).toMatchObject([{ record: { sku: '1', name: 'a "b";\nc' } }, { record: { sku: '2', name: 'd' } }]);
  });
  it('reports a ragged CSV row with its line and goes on', async () => {
    expect((await read('sku,name\n1,a\n2\n3,c,x\n4,d\n', csv)).rows).toMatchObject([{ line: 2, record: {} }, { line: 3, problem: { code: 'ragged_row' } }, { line: 4, problem: { code: 'ragged_row' } }, { line: 5, record: { sku: '4' } }]);
  });
  it('reports a row with bytes that are not of the encoding instead of storing replacement characters', async () => {
    const latin = Buffer.from('{"a":"caf\u00e9"}\n{"a":"ok"}\n', 'latin1');
    expect((await read(latin, ndjson)).rows).toMatchObject([{ line: 1, problem: { code: 'malformed_row' } }, { line: 2, record: { a: 'ok' } }]);
    expect((await read(Buffer.from('a,b\ncaf\u00e9,1\n', 'latin1'), csv)).rows).toMatchObject([{ line: 2, problem: { code: 'malformed_row' } }]);
  });
  it('tells a connection that broke off from a failure of ours', async () => {
    const broken = Readable.from((async function* () {
      yield Buffer.from('{"a":1}\n{"a"');
      throw Object.assign(new Error('reset'), { code: 'ECONNRESET' });
    })());
    const rows: ImportRow[] = [];
    const reading = (async () => { for await (const row of importRows(broken, ndjson)) rows.push(row); })();
    await expect(reading).rejects.toThrow(BrokenUploadError);
    expect(rows).toMatchObject([{ line: 1 }]);
  });
  it('refuses a header of more columns than a product can have', async () => {
    expect((await read(`${Array.from({ length: 40_000 }, (_, n) => `c${n}`).join(',')}\n`, csv, 65_536)).error).toMatchObject({ code: 'invalid_request' });
  });
  it('refuses a header that names a column twice', async () => {
    expect((await read('sku,sku\n1,2\n', csv)).error).toMatchObject({ code: 'invalid_request' });
  });
});
