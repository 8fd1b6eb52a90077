import { segmentNumberFields, segmentTextFields } from '@millrace/contracts';
import type { SegmentNumberField, SegmentTextField } from '@millrace/contracts';

/** Texts of a column by their codes; code 0 is NULL. */
export interface TextColumn {
  readonly codes: Uint16Array;
  readonly values: readonly (string | null)[];
}

/** The recommendations of one generation, column by column, by ISDN (in bytes). Never changes. */
export interface SubscriberColumns {
  readonly rows: number;
  readonly bytes: number;
  readonly isdnAt: (row: number) => string;
  /** The row of an ISDN; -1: it has none. */
  readonly find: (isdn: string) => number;
  readonly texts: Readonly<Record<SegmentTextField, TextColumn>>;
  /** NaN is NULL. */
  readonly numbers: Readonly<Record<SegmentNumberField, Float64Array>>;
}

/** Columns in the order in which `createColumnsReader` takes them. */
export const copiedColumns: readonly string[] = ['isdn', ...segmentTextFields, ...segmentNumberFields.map((name) => `${name}::float8`)];

/** What a row takes without its ISDN. */
const ROW_BYTES = segmentNumberFields.length * 8 + segmentTextFields.length * 2 + 4;
const FIRST_ISDN_BYTES = 24;
const MAX_TEXTS = 65_535;

/** Least memory of so many rows. */
export const leastBytes = (rows: number): number => rows * (ROW_BYTES + FIRST_ISDN_BYTES);

/** The rows do not fit into the memory that there is for them, or a text column has too many different texts. */
export class ColumnsTooLargeError extends Error {
  override readonly name = 'ColumnsTooLargeError';
}

interface Dictionary {
  readonly codes: Uint16Array;
  readonly values: (string | null)[];
  readonly known: Map<string, number>;
}

interface State {
  readonly numbers: readonly Float64Array[];
  readonly texts: readonly Dictionary[];
  readonly offsets: Uint32Array;
  isdns: Buffer;
  textBytes: number;
  row: number;
}

const bytesOf = ({ offsets, isdns, textBytes }: State): number => (offsets.length - 1) * ROW_BYTES + isdns.length + textBytes;

function checkSize(state: State, limitBytes: number): void {
  if (bytesOf(state) > limitBytes) throw new ColumnsTooLargeError(`${offsetsOf(state)} subscribers take more than ${limitBytes} bytes`);
}
const offsetsOf = ({ offsets }: State): number => offsets.length - 1;

function codeOf(state: State, { values, known }: Dictionary, text: string): number {
  const found = known.get(text);
  if (found !== undefined) return found;
  if (values.length > MAX_TEXTS) throw new ColumnsTooLargeError(`a column has more than ${MAX_TEXTS} different texts`);
  known.set(text, values.length);
  values.push(text);
  state.textBytes += text.length * 2 + 64;
  return values.length - 1;
}

/** Grows by half at least, and never beyond what offsets of 32 bits can name. */
function addIsdn(state: State, data: Buffer, { start, length, limitBytes }: { readonly start: number; readonly length: number; readonly limitBytes: number }): void {
  const from = state.offsets[state.row] ?? 0;
  if (from + length > state.isdns.length) {
    const grown = Buffer.allocUnsafeSlow(Math.min(0xff_ff_ff_ff, Math.ceil((from + length) * 1.5)));
    state.isdns.copy(grown, 0, 0, from);
    state.isdns = grown;
    checkSize(state, limitBytes);
  }
  data.copy(state.isdns, from, start, start + length);
  state.offsets[state.row + 1] = from + length;
}

const SIGNATURE_BYTES = 11;
const FIELDS = 1 + segmentTextFields.length + segmentNumberFields.length;

/** Where the row ends that begins at `at`: -1 where the data do not reach so far. */
function endOfRow(data: Buffer, at: number): number {
  if (at + 2 > data.length) return -1;
  if (data.readInt16BE(at) === -1) return at + 2;
  let end = at + 2;
  for (let field = 0; field < FIELDS; field += 1) {
    if (end + 4 > data.length) return -1;
    end += 4 + Math.max(0, data.readInt32BE(end));
  }
  return end > data.length ? -1 : end;
}

function addRow(state: State, data: Buffer, begin: number, limitBytes: number): void {
  const { numbers, texts, row } = state;
  let at = begin + 2;
  for (let field = 0; field < FIELDS; field += 1) {
    const length = data.readInt32BE(at);
    at += 4;
    const text = texts[field - 1];
    if (field === 0) addIsdn(state, data, { start: at, length, limitBytes });
    else if (text !== undefined) text.codes[row] = length < 0 ? 0 : codeOf(state, text, data.toString('utf8', at, at + length));
    // Zero has one sign, as in SQL.
    else (numbers[field - 1 - texts.length] ?? [])[row] = length < 0 ? Number.NaN : data.readDoubleBE(at) + 0;
    at += Math.max(0, length);
  }
  state.row += 1;
}

/** Rows are in the order of their ISDNs, by bytes. */
function findIsdn({ offsets, isdns, row: rows }: State, wanted: Buffer): number {
  let [low, high] = [0, rows];
  while (low < high) {
    const middle = (low + high) >>> 1;
    const order = isdns.compare(wanted, 0, wanted.length, offsets[middle], offsets[middle + 1]);
    if (order === 0) return middle;
    if (order < 0) low = middle + 1;
    else high = middle;
  }
  return -1;
}

function toColumns(state: State): SubscriberColumns {
  const { numbers, texts, offsets, isdns, row } = state;
  const textOf = (name: SegmentTextField): TextColumn => texts[segmentTextFields.indexOf(name)] ?? { codes: new Uint16Array(row), values: [null] };
  const numberOf = (name: SegmentNumberField): Float64Array => numbers[segmentNumberFields.indexOf(name)] ?? new Float64Array(row).fill(Number.NaN);
  return {
    rows: row, bytes: bytesOf(state),
    isdnAt: (at) => isdns.toString('utf8', offsets[at], offsets[at + 1]),
    find: (isdn) => findIsdn(state, Buffer.from(isdn)),
    texts: { subscriber_type: textOf('subscriber_type'), service_type: textOf('service_type'), cluster_group: textOf('cluster_group'), bad_debt_risk: textOf('bad_debt_risk'), arpu_trend: textOf('arpu_trend') },
    numbers: {
      advance_amount: numberOf('advance_amount'), revenue_per_advance: numberOf('revenue_per_advance'), arpu_avg_6m: numberOf('arpu_avg_6m'), arpu_growth_rate: numberOf('arpu_growth_rate'),
      customer_value_score: numberOf('customer_value_score'), advance_readiness_score: numberOf('advance_readiness_score'), priority_score: numberOf('priority_score'),
    },
  };
}

export interface ColumnsReader {
  /** The next bytes, cut anywhere. Throws ColumnsTooLargeError. */
  add(chunk: Buffer): void;
  /** Throws where rows are missing. */
  finish(): SubscriberColumns;
}

/** Takes what `COPY (…) TO STDOUT (FORMAT binary)` sends of `copiedColumns`, of exactly so many rows (PostgreSQL, COPY, "Binary Format"). */
export function createColumnsReader(rows: number, limitBytes: number): ColumnsReader {
  if (leastBytes(rows) > limitBytes) throw new ColumnsTooLargeError(`${rows} subscribers take more than ${limitBytes} bytes`);
  const state: State = {
    numbers: segmentNumberFields.map(() => new Float64Array(rows)),
    texts: segmentTextFields.map(() => ({ codes: new Uint16Array(rows), values: [null], known: new Map() })),
    offsets: new Uint32Array(rows + 1), isdns: Buffer.allocUnsafeSlow(rows * FIRST_ISDN_BYTES), textBytes: 0, row: 0,
  };
  let rest: Buffer = Buffer.alloc(0);
  let isHeaderRead = false;
  let isEnded = false;
  return {
    add(chunk) {
      const data = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      let at = 0;
      if (!isHeaderRead) {
        const length = SIGNATURE_BYTES + 8;
        if (data.length < length || data.length < length + data.readInt32BE(SIGNATURE_BYTES + 4)) {
          rest = data;
          return;
        }
        at = length + data.readInt32BE(SIGNATURE_BYTES + 4);
        isHeaderRead = true;
      }
      for (let end = endOfRow(data, at); end >= 0 && !isEnded; end = endOfRow(data, at)) {
        isEnded = data.readInt16BE(at) === -1;
        if (!isEnded) addRow(state, data, at, limitBytes);
        at = end;
      }
      rest = data.subarray(at);
      checkSize(state, limitBytes);
    },
    finish() {
      if (!isEnded || state.row !== rows) throw new Error(`${rows} subscribers were counted, ${state.row} came`);
      return toColumns(state);
    },
  };
}
