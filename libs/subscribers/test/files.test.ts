import { mkdtemp, readFile as readText, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { describeWith, testServer } from '@millrace/testing';
import { parse } from 'csv-parse/sync';
import { LoadRefusedError, MAX_LINE_CHARACTERS, createRowEncoder, datasets, parseMappings, readFile } from '../src/index.ts';
import type { DatasetName, FileMappings, SourceFile } from '../src/index.ts';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'millrace-files-'));
});
afterAll(() => rm(directory, { recursive: true }));

async function written(name: string, content: string | Buffer): Promise<SourceFile> {
  const path = join(directory, name);
  await writeFile(path, content);
  return { path };
}

interface Read { readonly headers: readonly string[]; readonly rows: unknown[][]; readonly lines: number[]; readonly bad: string[] }

async function read(source: SourceFile): Promise<Read> {
  const found = { headers: [] as string[], rows: [] as unknown[][], lines: [] as number[], bad: [] as string[] };
  await readFile(source, {
    onHeader(headers) {
      found.headers.push(...headers);
      return [...headers.keys()];
    },
    onRow(cells, line) {
      found.rows.push([...cells]);
      found.lines.push(line);
    },
    onBadRow: (line, reason) => void found.bad.push(`${line}: ${reason}`),
    onProgress: async () => undefined,
  });
  return found;
}

const refusal = async (source: SourceFile): Promise<string> => {
  try {
    await read(source);
  } catch (error) {
    if (error instanceof LoadRefusedError) return error.message;
    throw error;
  }
  return 'was read';
};

describe('a CSV file', () => {
  it.each([
    ['line feeds', 'a,b\n1,2\n3,4\n'], ['CRLF', 'a,b\r\n1,2\r\n3,4\r\n'], ['no line end at the end', 'a,b\n1,2\n3,4'], ['a byte order mark', '\uFEFFa,b\n1,2\n3,4\n'],
    ['quotation marks in a later line', 'a,b\n1,2\n"3","4"\n'], ['quotation marks in the header', '"a","b"\n1,2\n3,4\n'], ['semicolons', 'a;b\n1;2\n3;4\n'], ['empty lines', 'a,b\n\n1,2\n\n3,4\n\n'],
  ])('is read the same with %s', async (_what, content) => {
    expect(await read(await written('some.csv', content))).toMatchObject({ headers: ['a', 'b'], rows: [['1', '2'], ['3', '4']], bad: [] });
    expect(await read(await written('some.csv.gz', gzipSync(content)))).toMatchObject({ headers: ['a', 'b'], rows: [['1', '2'], ['3', '4']], bad: [] });
  });

  it('has the lines of the file, also behind a record of several lines', async () => {
    expect(await read(await written('lines.csv', 'a,b\n1,2\n"x\ny",3\n4,5\n'))).toMatchObject({ rows: [['1', '2'], ['x\ny', '3'], ['4', '5']], lines: [2, 4, 5] });
  });

  it('is split as csv-parse splits it, wherever the first quotation mark is', async () => {
    for (const quoted of [0, 1, 500, 20_000, 39_999]) {
      const content = `a,b,c\n${Array.from({ length: 40_000 }, (_none, at) => (at === quoted ? `"x ""${at}"",\n",y,z` : `${at},é${at % 7},${'w'.repeat(at % 11)}`)).join('\n')}\n`;
      const expected: string[][] = parse(content);
      const { headers, rows } = await read(await written('many.csv', content));
      expect([headers, ...rows]).toEqual(expected);
    }
  });

  it('tells of rows of another length and goes on, and takes a stray quotation mark for text', async () => {
    expect(await read(await written('bad.csv', 'a,b\n1\n1,2,3\n3,4\n'))).toMatchObject({ rows: [['3', '4']], bad: ['2: has 1 cells where the header has 2', '3: has 3 cells where the header has 2'] });
    expect(await read(await written('stray.csv', 'a,b\n1,2\n"x"y,3\n5" tall,4\n'))).toMatchObject({ rows: [['1', '2'], ['"x"y', '3'], ['5" tall', '4']], bad: [] });
  });

  it('is read in Latin-1 where that is said, and refused with a sentence where it is not', async () => {
    const source = await written('latin1.csv', Buffer.from('a,b\ncaf\u00E9,1\n', 'latin1'));
    expect(await refusal(source)).toContain('is not UTF-8: say its encoding');
    expect((await read({ ...source, encoding: 'latin1' })).rows).toEqual([['caf\u00E9', '1']]);
    expect(await refusal({ ...source, encoding: 'klingon' })).toContain('the encoding klingon is not known');
  });

  it.each([
    ['nothing', '', 'is empty'],
    ['a line of 11 MB', `a,b\n1,${'x'.repeat(11_000_000)}\n`, `longer than ${MAX_LINE_CHARACTERS} characters`],
    ['an unclosed quotation mark before 11 MB', `a,b\n1,"${'x\n'.repeat(5_500_000)}`, `longer than ${MAX_LINE_CHARACTERS} characters`],
    ['an unclosed quotation mark', 'a,b\n1,"x\n2,3\n', 'not closed'],
  ])('of %s is refused with a sentence', async (_what, content, sentence) => {
    expect(await refusal(await written('refused.csv', content))).toContain(sentence);
  });

  it('that was cut off in gzip, or is damaged, is refused with a sentence', async () => {
    const packed = gzipSync(`a,b\n${'1,2\n'.repeat(100_000)}`);
    expect(await refusal(await written('cut.csv.gz', packed.subarray(0, packed.length - 200)))).toContain('cut off');
    const damaged = Buffer.from(packed);
    damaged.fill(0xff, 100, 200);
    expect(await refusal(await written('damaged.csv.gz', damaged))).toContain('gzip file is damaged');
  });
});

describe('the header of a file', () => {
  const encoder = (dataset: DatasetName, headers: readonly string[], mappings: FileMappings = {}): ReturnType<typeof createRowEncoder> => createRowEncoder(datasets[dataset], headers, mappings[dataset]);

  it('is the same with other cases, odd spaces and other signs between words', () => {
    const { encode } = encoder('arpu', ['\uFEFF Isdn', 'Data  Month ', 'ARPU-Call', 'arpu.sms', ' arpu_data', 'arpu total', 'x']);
    expect(encode(['0912345678', '202601', '1', '', 'NaN', '2.50', 'y'])).toBe('84912345678\t2026-01-01\t1\t\\N\t\\N\t2.50');
  });

  it('is refused with a sentence where it has 10,000 columns, one twice, or lacks one', () => {
    expect(() => encoder('arpu', Array.from({ length: 10_000 }, (_none, at) => `c${at}`))).toThrow('the file has 10000 columns');
    expect(() => encoder('arpu', ['isdn', 'data_month', 'Data Month'])).toThrow('two columns of the file are called data_month');
    expect(() => encoder('arpu', ['isdn', 'x'])).toThrow('the file has no column data_month; it has isdn, x');
  });

  it('is mapped by a file of names and values', () => {
    const mappings = parseMappings('{"recommendations": {"isdn": "customerID", "service_type": {"column": "Kind", "default": "NONE"}, "bad_debt_risk": {"default": "low"}, "advance_amount": "Total"}}');
    const { encode } = encoder('recommendations', ['customerID', 'Kind', 'Total', 'Contract', 'Tenure'], mappings);
    expect(encode(['7590-VHVEG', ' ', ' ', 'Month-to-month', '12'])).toBe(['7590-VHVEG', '\\N', 'NONE', '\\N', '\\N', '\\N', 'LOW', ...Array.from({ length: 6 }, () => '\\N'), '{"contract":"Month-to-month","tenure":12}'].join('\t'));
    expect(() => parseMappings('{"recommendations": {"nothing": "x"}}')).toThrow('names a column nothing that recommendations does not have');
    expect(() => parseMappings('{"other": {}}')).toThrow('the mapping file is wrong');
    expect(() => encoder('recommendations', ['a'], mappings)).toThrow('the file has no column customerID, which the mapping takes isdn from');
  });

  it.each([
    ['isdn', ['short', '2026-01', '1', '1', '1', '1'], 'isdn', undefined], ['month', ['84912345678', '2026-13', '1', '1', '1', '1'], 'data_month', '84912345678'],
    ['missing month', ['84912345678', '', '1', '1', '1', '1'], 'data_month', '84912345678'], ['number', ['84912345678', '2026-01', '1,5', '1', '1', '1'], 'arpu_call', '84912345678'],
    ['infinite number', ['84912345678', '2026-01', '1', 'Infinity', '1', '1'], 'arpu_sms', '84912345678'], ['huge number', ['84912345678', '2026-01', '1', '1e300', '1', '1'], 'arpu_sms', '84912345678'],
  ])('leads to a refused row for a wrong %s, without its value', (_what, cells, column, isdn) => {
    const refused = encoder('arpu', ['isdn', 'data_month', 'arpu_call', 'arpu_sms', 'arpu_data', 'arpu_total']).encode(cells);
    expect(refused).toMatchObject({ column, isdn });
    expect(typeof refused === 'string' ? refused : refused.reason).not.toContain('84912345678');
  });
});

describeWith('shared', 'Parquet files that other tools wrote', () => {
  const folder = (): string => join(testServer('shared'), 'data/parquet');

  it('are read exactly', async () => {
    const groups = await read({ path: join(folder(), 'rowgroups.parquet') });
    const expected: unknown = JSON.parse(await readText(join(folder(), 'rowgroups.json'), 'utf8'));
    expect(JSON.parse(JSON.stringify(groups.rows, (_key, value: unknown) => (typeof value === 'bigint' ? Number(value) : value)))).toEqual(expected);
    expect((await read({ path: join(folder(), 'int64_decimal.parquet') })).rows).toEqual(Array.from({ length: 24 }, (_none, at) => [`${at + 1}.00`]));
    expect((await read({ path: join(folder(), 'byte_array_decimal.parquet') })).rows).toEqual(Array.from({ length: 24 }, (_none, at) => [`${at + 1}.00`]));
    expect((await read({ path: join(folder(), 'lz4_raw_compressed.parquet') })).rows).toHaveLength(4);
    expect((await read({ path: join(folder(), 'alltypes_plain.snappy.parquet') })).rows).toHaveLength(2);
    const int96 = await read({ path: join(folder(), 'int96_from_spark.parquet') });
    expect(int96.rows[0]?.[0]).toEqual(new Date('2024-01-01T20:34:56.123Z'));
    for (const [name, rows] of [['datapage_v2.snappy', 5], ['nulls.snappy', 8], ['campaigns', undefined], ['coupon_redemptions', undefined], ['demographics', undefined]] as const) {
      const found = await read({ path: join(folder(), `${name}.parquet`) });
      expect(rows === undefined ? found.rows.length > 10 : found.rows.length === rows).toBe(true);
    }
  });

  it('are refused with a sentence where they are damaged', async () => {
    expect(await refusal({ path: join(folder(), 'bad/ARROW-GH-45185.parquet') })).toContain('column x of row group 0 cannot be read');
    expect(await refusal(await written('footer.parquet', Buffer.from('PAR1 no footer PAR1')))).toContain('not Parquet that can be read');
  });
});
