import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { parquetWriteBuffer } from 'hyparquet-writer';
import type { ColumnSource } from 'hyparquet-writer';
import { readParquet } from '../src/files/parquet-rows.ts';
import type { ParquetLimits } from '../src/files/parquet-rows.ts';
import { LoadRefusedError, createRowEncoder, datasets, parseIsdn, parseMappings, readFile } from '../src/index.ts';
import type { DatasetName, RowSink } from '../src/index.ts';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'millrace-attacks-'));
});
afterAll(() => rm(directory, { recursive: true }));

async function written(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(directory, name);
  await writeFile(path, content);
  return path;
}

const nested = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels);

describe('a hostile cell', () => {
  /** What becomes of one cell of a row that is good otherwise: its text, or column and reason. */
  const cell = (dataset: DatasetName, column: string, value: unknown): string => {
    const row = { isdn: '84912345678', service_type: 'A', bad_debt_risk: 'LOW', data_month: '2026-01', [column]: value };
    const line = createRowEncoder(datasets[dataset], Object.keys(row)).encode(Object.values(row));
    if (typeof line !== 'string') return `${line.column} ${line.reason}`;
    const at = datasets[dataset].columns.findIndex(({ name }) => name === column);
    return line.split('\t').at(at < 0 ? -1 : at) ?? '';
  };

  it.each([
    ['1e400', 'arpu_total is a number beyond 10^15'], ['NaN', '\\N'], ['Infinity', 'arpu_total is not a number'], [Infinity, 'arpu_total is a number beyond 10^15'], [Number.NaN, '\\N'], ['1,234.5', 'arpu_total is not a number'],
    ['-12.50', '-12.50'], ['0x10', 'arpu_total is not a number'], ['--1', 'arpu_total is not a number'], ['1_000', 'arpu_total is not a number'], ['12345678901234567890', 'arpu_total is a number beyond 10^15'], [true, 'arpu_total is not a number'], ['1e-5', '1e-5'],
  ])('%p as a number is %p', (value, expected) => {
    expect(cell('arpu', 'arpu_total', value)).toBe(expected);
  });

  it.each([
    ['arpu', 'data_month', '2026-13'], ['arpu', 'data_month', '202600'], ['arpu', 'data_month', '0000-01'], ['arpu', 'data_month', 'x'], ['profiles', 'topup_last_date', '2026-02-30'], ['profiles', 'topup_last_date', '0000-01-01'],
    ['profiles', 'topup_last_date', '9999-99-99'], ['profiles', 'insights', nested(10_000)], ['profiles', 'insights', nested(101)], ['profiles', 'insights', `"${'x'.repeat(5_000_000)}"`], ['profiles', 'insights', String.raw`{"a": "\u0000"}`],
    ['profiles', 'insights', String.raw`["\ud800"]`], ['profiles', 'insights', '{"a": 1'], ['profiles', 'insights', { deep: JSON.parse(nested(200)) as unknown }], ['profiles', 'extra_note', 'nul\0inside'], ['profiles', 'extra_note', 'half\uD800pair'],
    ['recommendations', 'service_type', 'x'.repeat(201)], ['recommendations', 'subscriber_type', 'a\0b'], ['recommendations', 'subscriber_type', 'x'.repeat(65_537)], ['recommendations', 'note', 'x'.repeat(70_000)], ['profiles', 'topup_count', '1.5'],
  ] as const)('of %s.%s is a bad row and no failed load', (dataset, column, value) => {
    expect(cell(dataset, column, value)).toMatch(new RegExp(`^(${column}|extra) (is|holds) `));
  });

  it('is kept as it is where it only looks hostile', () => {
    expect(cell('profiles', 'insights', nested(100))).toBe(nested(100));
    const { encode } = createRowEncoder(datasets.recommendations, ['isdn', 'service_type', 'bad_debt_risk', 'x']);
    const extra = (value: unknown): string => {
      const line = encode(['84912345678', 'A', 'LOW', value]);
      return typeof line === 'string' ? (line.split('\t').at(-1) ?? '') : line.reason;
    };
    // COPY's escapes on top of those of JSON.
    expect(extra(String.raw`C:\u0000`)).toBe(String.raw`{"x":"C:\\\\u0000"}`);
    expect(extra([1n, 12_345_678_901_234_567_890n, new Date(0)])).toBe('{"x":[1,12345678901234567890,"1970-01-01T00:00:00.000Z"]}');
    expect(extra(new Uint8Array([1, 2]))).toBe('{"x":"AQI="}');
    expect(cell('recommendations', 'subscriber_type', 'a\tb')).toBe(String.raw`a\tb`);
  });
});

describe('headers with names of JavaScript', () => {
  it('are columns like others, and wrong names in a mapping are a sentence', () => {
    const { encode } = createRowEncoder(datasets.profiles, ['isdn', '__proto__', 'constructor', 'toString', 'hasOwnProperty']);
    expect(encode(['84912345678', 'a', 'b', 'c', 'd'])).toContain('{"proto":"a","constructor":"b","tostring":"c","hasownproperty":"d"}');
    for (const text of ['{"arpu": {"constructor": "x"}}', '{"arpu": {"isdn": 1}}', '[]', 'null', '{"arpu": {"isdn": {"colum": "x"}}}', '{']) expect(() => parseMappings(text)).toThrow(LoadRefusedError);
  });
});

describe('a token', () => {
  it('that looks nearly like a number stays byte for byte, and so do slashes, percents, dots and any script', () => {
    for (const token of ['0912345678x', '849123456789', '+8491234567', '01703456789', '84012345678', '0212345678', '../../etc/passwd', '........', '%2F%2e%2e', 'aGVsbG8/d29ybGQ+Zm9v==', 'số-điện-thoại', '电话号码一二三四五', 'e\u0301'.repeat(4), 'x'.repeat(128), '🙂'.repeat(128)]) expect(parseIsdn(token)).toBe(token);
    for (const bad of ['🙂'.repeat(129), 'x'.repeat(129), '7letter', 'a b c d e f', '\u200Bzero-width', 'a\u0085bcdefgh']) expect(parseIsdn(bad)).toBeUndefined();
  });
});

interface ReadRows { readonly rows: unknown[][]; readonly progress: number }
async function rowsOf(path: string, limits?: ParquetLimits): Promise<ReadRows> {
  const rows: unknown[][] = [];
  let progress = 0;
  const sink: RowSink = {
    onHeader: (headers) => [...headers.keys()], onRow: (cells) => void rows.push([...cells]), onBadRow: () => undefined,
    onProgress: async () => void (progress += 1),
  };
  await (limits === undefined ? readFile({ path }, sink) : readParquet({ path }, sink, limits));
  return { rows, progress };
}
const sentence = (reading: Promise<unknown>): Promise<string> => reading.then(() => 'was read', (error: unknown) => (error instanceof LoadRefusedError ? error.message : Promise.reject(error)));

describe('a Parquet file', () => {
  const COUNT = 5_000;
  const columns = (options: Partial<ColumnSource> = {}): ColumnSource[] => [
    { name: 'isdn', data: Array.from({ length: COUNT }, (_none, at) => `token-${at}`), type: 'STRING', encoding: 'PLAIN', ...options },
    { name: 'arpu_total', data: Array.from({ length: COUNT }, (_none, at) => (at % 7 === 0 ? null : at / 4)), type: 'DOUBLE', nullable: true, ...options },
  ];
  const expected = Array.from({ length: COUNT }, (_none, at) => [`token-${at}`, at % 7 === 0 ? undefined : at / 4]);
  const plain = (rows: readonly unknown[][]): unknown[][] => rows.map((row) => row.map((one) => one ?? undefined));
  const file = (name: string, options: Partial<ColumnSource>, rowGroupSize: number | number[]): Promise<string> => written(name, new Uint8Array(parquetWriteBuffer({ columnData: columns(options), rowGroupSize, pageSize: 4_096 })));

  it('of many row groups, some of them odd, is read exactly', async () => {
    const { rows } = await rowsOf(await file('groups.parquet', {}, [1, 999, 7, 1_993, 2_000]));
    expect(plain(rows)).toEqual(expected);
  });

  it('with one row group that is too large is read page by page where it has an index of pages', async () => {
    const { rows, progress } = await rowsOf(await file('pages.parquet', { columnIndex: true, offsetIndex: true }, COUNT), { maxRowGroupBytes: 10_000, sliceBytes: 10_000 });
    expect(plain(rows)).toEqual(expected);
    expect(progress).toBeGreaterThan(3);
  });

  it('with one row group that is too large and no such index is refused with its number and the settings of its writer', async () => {
    const path = await file('large.parquet', { offsetIndex: false }, [100, COUNT - 100]);
    expect(await sentence(rowsOf(path, { maxRowGroupBytes: 10_000 }))).toMatch(/^row group 1 has 1 MiB uncompressed and no page index, .*row_group_size.*write_page_index.*parquet\.block\.size/);
    expect(plain((await rowsOf(path)).rows)).toEqual(expected);
  });

  it('that was cut off, in gzip, or not what it says anywhere, is refused with a sentence', async () => {
    const whole = new Uint8Array(parquetWriteBuffer({ columnData: columns(), rowGroupSize: 2_500 }));
    const damaged = (from: number, to: number): Uint8Array => {
      const copy = whole.slice();
      copy.fill(0xff, from, to);
      return copy;
    };
    for (const [name, bytes] of Object.entries({ cut: whole.subarray(0, whole.length / 2), tail: whole.subarray(0, whole.length - 4), footer: damaged(whole.length - 200, whole.length - 8), length: damaged(whole.length - 8, whole.length - 4), page: damaged(4, 200), magic: Buffer.from('PAR1'), zipped: gzipSync(whole) }))
      expect(await sentence(rowsOf(await written(`${name}.parquet`, bytes)))).toMatch(/Parquet|row group/);
  });
});

describe('a CSV file', () => {
  it('with a line of 1,048,577 characters is refused, quoted or not, and one less is read', async () => {
    for (const quote of ['', '"']) {
      const long = (characters: number): Promise<string> => written('long.csv', `a,b\n1,${quote}${'x'.repeat(characters)}${quote}\n`);
      expect(await sentence(rowsOf(await long(1_048_577)))).toContain('longer than 1048576 characters');
      expect((await rowsOf(await long(1_000_001))).rows).toHaveLength(1);
    }
  });

  it.each(['', '""', '";;"', 'ab', '\n'])('is refused with the delimiter %p', async (delimiter) => {
    const path = await written('delimited.csv', 'a,b\n1,2\n');
    const sink: RowSink = { onHeader: () => [], onRow: () => undefined, onBadRow: () => undefined, onProgress: async () => undefined };
    expect(await sentence(readFile({ path, delimiter }, sink))).toContain('the delimiter must be one character');
  });
});
