import { COPY_NULL, cellEncoder, encodeJsonValue } from './cells.ts';
import type { CellEncoder } from './cells.ts';
import type { Column, Dataset } from './datasets.ts';
import { LoadRefusedError } from './errors.ts';
import type { ColumnMapping } from './mapping.ts';

/** A row that was refused; `isdn` where it could be read. */
export interface RefusedRow {
  readonly column: string;
  readonly reason: string;
  readonly isdn: string | undefined;
}

export interface RowEncoder {
  /** One line of COPY's text format without its line end, or why there is none. */
  readonly encode: (cells: readonly unknown[]) => string | RefusedRow;
  /** The subscriber and the whole key of a row that `encode` took, as COPY has them. */
  readonly keyOf: (line: string) => string;
  /** Places of the headers that are read. */
  readonly used: readonly number[];
  /** Headers that went nowhere. */
  readonly ignored: readonly string[];
}

/** " Call  Failure" and call_failure are one header. */
export const normaliseHeader = (header: string): string => header.replace(/^\uFEFF/, '').trim().toLowerCase().replaceAll(/[\s._-]+/g, '_').replaceAll(/^_|_$/g, '');

const MAX_COLUMNS = 1_000;

/** Places by header; refuses what cannot be told apart. */
function placesOf(headers: readonly string[]): Map<string, number> {
  if (headers.length > MAX_COLUMNS) throw new LoadRefusedError(`the file has ${headers.length} columns, at most ${MAX_COLUMNS} are read: is the delimiter right?`);
  const places = new Map<string, number>();
  for (const [place, header] of headers.entries()) {
    const name = normaliseHeader(header);
    if (name === '') continue;
    if (places.has(name)) throw new LoadRefusedError(`two columns of the file are called ${name.slice(0, 60)}: rename one of them`);
    places.set(name, place);
  }
  return places;
}

interface PlacedColumn {
  readonly column: Column;
  readonly place: number | undefined;
  readonly encode: CellEncoder;
}

function findPlace(column: Column, places: ReadonlyMap<string, number>, mapping: ColumnMapping): PlacedColumn {
  const source = mapping[column.name];
  const encode = cellEncoder(column, source?.default);
  if (source?.column !== undefined) {
    const place = places.get(normaliseHeader(source.column));
    if (place === undefined) throw new LoadRefusedError(`the file has no column ${source.column}, which the mapping takes ${column.name} from; it has ${[...places.keys()].slice(0, 30).join(', ')}`);
    return { column, place, encode };
  }
  const place = source?.default !== undefined && source.column === undefined ? undefined : [column.name, ...(column.aliases ?? [])].map((name) => places.get(name)).find((found) => found !== undefined);
  if (place === undefined && column.isRequired === true && source?.default === undefined)
    throw new LoadRefusedError(`the file has no column ${column.name}; it has ${[...places.keys()].slice(0, 30).join(', ') || 'no header'}: name the right one in a mapping file (--mapping)`);
  return { column, place, encode };
}

const JSON_NUMBER = /^-?(?:0|[1-9]\d{0,14})(?:\.\d{1,15})?$/;

/** Headers may be any words: the object has no prototype. */
function extraEncoder(rest: readonly (readonly [string, number])[]): CellEncoder {
  return (cells) => {
    if (!Array.isArray(cells)) return COPY_NULL;
    const extra: Record<string, unknown> = Object.create(null);
    for (const [name, place] of rest) {
      const cell: unknown = cells[place];
      if (cell === null || cell === undefined || cell === '') continue;
      extra[name] = typeof cell === 'string' && JSON_NUMBER.test(cell) ? Number(cell) : cell;
    }
    const text = encodeJsonValue(extra);
    return text === '{}' ? COPY_NULL : text;
  };
}

/** Makes the lines of COPY from the cells of a file with these headers. Throws LoadRefusedError where a required column is missing. */
export function createRowEncoder(dataset: Dataset, headers: readonly string[], mapping: ColumnMapping = {}): RowEncoder {
  const places = placesOf(headers);
  const columns = dataset.columns.map((column) => findPlace(column, places, mapping));
  const used = new Set(columns.map(({ place }) => place));
  const rest = [...places].filter(([, place]) => !used.has(place));
  const encodeExtra = dataset.keepsExtra && rest.length > 0 ? extraEncoder(rest) : undefined;
  const width = headers.length;
  // One flat text a row, not a rope of its cells: what joins the rows is twice as fast then.
  const written: string[] = Array.from({ length: columns.length + (dataset.keepsExtra ? 1 : 0) }, () => COPY_NULL);
  return {
    encode(cells) {
      if (cells.length > width) return { column: '', reason: `has ${cells.length} cells where the header has ${width}`, isdn: undefined };
      for (let at = 0; at < columns.length; at += 1) {
        const placed = columns[at];
        if (placed === undefined) break;
        const cell = placed.encode(placed.place === undefined ? undefined : cells[placed.place]);
        // The key is the first column.
        if (typeof cell !== 'string') return { column: placed.column.name, reason: cell.reason, isdn: at === 0 ? undefined : written[0] };
        written[at] = cell;
      }
      if (encodeExtra !== undefined) {
        const extra = encodeExtra(cells);
        if (typeof extra !== 'string') return { column: 'extra', reason: extra.reason, isdn: written[0] };
        written[columns.length] = extra;
      }
      return written.join('\t');
    },
    keyOf: (line) => line.split('\t', dataset.key.length).join('\t'),
    used: [...(dataset.keepsExtra ? places.values() : new Set(columns.flatMap(({ place }) => place ?? [])))],
    ignored: dataset.keepsExtra ? [] : rest.map(([name]) => name),
  };
}
