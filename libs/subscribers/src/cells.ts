import type { Column, ColumnKind } from './datasets.ts';
import { parseIsdn } from './isdn.ts';

/** Why a cell was refused. Never holds the value: it may be personal. */
export interface BadCell {
  readonly reason: string;
}

/** A cell as the text format of COPY has it; NULL is `\N`. */
export type CellEncoder = (cell: unknown) => string | BadCell;

export const COPY_NULL = '\\N';
/** What files write for "nothing", apart from blanks. */
const NULLS = new Set(['null', 'NULL', 'Null', 'NaN', 'nan', 'None', 'NA', '\\N']);
const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?$/;
const MAX_NUMBER = 1e15;
const MAX_TEXT = 65_536;
/** jsonb and its readers are recursive. */
const MAX_DEPTH = 100;
const TO_ESCAPE = /[\\\t\n\r]/;
const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' };
/** Postgres stores neither NUL nor halves of surrogate pairs. */
const isStorable = (text: string): boolean => !text.includes('\0') && text.isWellFormed();

const notANumber: BadCell = { reason: 'is not a number' };
const tooLarge: BadCell = { reason: 'is a number beyond 10^15' };
const notText: BadCell = { reason: 'holds characters that cannot be stored' };
const tooLong = (characters: number): BadCell => ({ reason: `is longer than ${characters} characters` });
const notIsdn: BadCell = { reason: 'is neither a Vietnamese mobile number nor a token of 8 to 128 characters without spaces' };
const notRisk: BadCell = { reason: 'must be LOW, MEDIUM or HIGH' };
const notMonth: BadCell = { reason: 'is not a month from 2000-01 to 2099-12' };
const notDate: BadCell = { reason: 'is not a date from 1900-01-01 to 2199-12-31' };
const notJson: BadCell = { reason: 'is not JSON' };
const tooDeep: BadCell = { reason: `is JSON of more than ${MAX_DEPTH} levels` };
const notCount: BadCell = { reason: 'is not a whole number' };
const missing: BadCell = { reason: 'is required' };

export const escapeCopy = (text: string): string => (TO_ESCAPE.test(text) ? text.replaceAll(/[\\\t\n\r]/g, (found) => ESCAPES[found] ?? found) : text);

const isNothing = (cell: unknown): boolean => cell === null || cell === undefined || (typeof cell === 'string' && (cell === '' || NULLS.has(cell) || cell.trim() === '')) || (typeof cell === 'number' && Number.isNaN(cell));

function asText(cell: unknown): string | undefined {
  if (typeof cell === 'string') return cell;
  if (typeof cell === 'number' || typeof cell === 'bigint' || typeof cell === 'boolean') return String(cell);
  return isDate(cell) ? cell.toISOString() : undefined;
}
const isDate = (cell: unknown): cell is Date => cell instanceof Date && !Number.isNaN(cell.getTime());

function encodeIsdn(cell: unknown): string | BadCell {
  const text = asText(cell);
  const isdn = text === undefined ? undefined : parseIsdn(text);
  return isdn === undefined ? notIsdn : escapeCopy(isdn);
}

const encodeText = (maxCharacters: number): CellEncoder => (cell) => {
  const text = asText(cell)?.trim();
  if (text === undefined || !isStorable(text)) return notText;
  return text.length > maxCharacters ? tooLong(maxCharacters) : escapeCopy(text);
};

function encodeNumber(cell: unknown): string | BadCell {
  if (typeof cell === 'number') return Math.abs(cell) < MAX_NUMBER ? String(cell) : tooLarge;
  const text = asText(cell)?.trim();
  if (text === undefined || !NUMBER.test(text)) return notANumber;
  return text.length <= 15 && !/[eE]/.test(text) ? text : Math.abs(Number(text)) < MAX_NUMBER && text.length < 60 ? text : tooLarge;
}

/** Also 12.0, which pandas writes for a count in a column with gaps. */
function encodeCount(cell: unknown): string | BadCell {
  const number = encodeNumber(cell);
  if (typeof number !== 'string') return number;
  const value = Number(number);
  return Number.isSafeInteger(value) ? String(value) : notCount;
}

function encodeRisk(cell: unknown): string | BadCell {
  const text = asText(cell)?.trim().toUpperCase();
  return text === 'LOW' || text === 'MEDIUM' || text === 'HIGH' ? text : notRisk;
}

/** 2026-01, 202601, 2026/1, and days and times of that month. */
const MONTH = /^(20\d\d)(?:-(\d\d?)|\/(\d\d?)|(\d\d))(?:[-/]\d\d?(?:[ T].*)?|\d\d)?$/;

function encodeMonth(cell: unknown): string | BadCell {
  const found = MONTH.exec(asText(cell)?.trim() ?? '');
  const month = Number(found?.[2] ?? found?.[3] ?? found?.[4]);
  return found && month >= 1 && month <= 12 ? `${found[1]}-${String(month).padStart(2, '0')}-01` : notMonth;
}

function encodeDate(cell: unknown): string | BadCell {
  const day = /^((?:19|2[01])\d\d-\d\d-\d\d)(?:[ T].*)?$/.exec(asText(cell)?.trim() ?? '')?.[1];
  const date = new Date(`${day ?? ''}T00:00:00Z`);
  return day !== undefined && !Number.isNaN(date.getTime()) && date.toISOString().startsWith(day) ? day : notDate;
}

/** JSON text that says what it is not itself; thrown through JSON.stringify. */
class NotStorableError extends Error {
  override readonly name = 'NotStorableError';
  readonly reason: BadCell;
  constructor(reason: BadCell) {
    super(reason.reason);
    this.reason = reason;
  }
}

/** ES2026 (JSON.parse source text access): TypeScript's own libraries do not know it yet. */
const rawJson: unknown = Reflect.get(JSON, 'rawJSON');

/** A value of a file as JSON keeps it: whole numbers of any size exactly, bytes as base64, no prototype. Throws NotStorableError. */
function toJsonValue(value: unknown, depth = 1): unknown {
  if (depth > MAX_DEPTH) throw new NotStorableError(tooDeep);
  if (typeof value === 'string') {
    if (!isStorable(value)) throw new NotStorableError(notText);
    return value;
  }
  if (typeof value === 'bigint') return typeof rawJson === 'function' ? Reflect.apply(rawJson, JSON, [String(value)]) : Number(value);
  if (typeof value !== 'object' || value === null || value instanceof Date) return value;
  if (ArrayBuffer.isView(value)) return value instanceof Uint8Array ? Buffer.from(value).toString('base64') : Array.from(Object.values(value));
  if (Array.isArray(value)) return value.map((one: unknown) => toJsonValue(one, depth + 1));
  const copy: Record<string, unknown> = Object.create(null);
  for (const [name, one] of Object.entries(value)) {
    if (!isStorable(name)) throw new NotStorableError(notText);
    copy[name] = toJsonValue(one, depth + 1);
  }
  return copy;
}

/** As the text of a JSONB cell in COPY's text format. */
export function encodeJsonValue(value: unknown): string | BadCell {
  try {
    const text = JSON.stringify(toJsonValue(value));
    return text.length > MAX_TEXT ? tooLong(MAX_TEXT) : escapeCopy(text);
  } catch (error) {
    if (error instanceof NotStorableError) return error.reason;
    throw error;
  }
}

function encodeJson(cell: unknown): string | BadCell {
  if (typeof cell !== 'string') return encodeJsonValue(cell);
  if (cell.length > MAX_TEXT) return tooLong(MAX_TEXT);
  try {
    const value: unknown = JSON.parse(cell);
    return cell.length <= 2 * MAX_DEPTH && !cell.includes(String.raw`\u`) && isStorable(cell) ? escapeCopy(JSON.stringify(value)) : encodeJsonValue(value);
  } catch {
    return notJson;
  }
}

const ENCODERS: Readonly<Record<ColumnKind, CellEncoder>> = { isdn: encodeIsdn, text: encodeText(MAX_TEXT), number: encodeNumber, count: encodeCount, risk: encodeRisk, month: encodeMonth, date: encodeDate, json: encodeJson };

const REMEMBERED = 1_000;
const REMEMBERED_CHARACTERS = 64;
/** Few values that come often: months, services, risks. */
function remembering(encode: CellEncoder): CellEncoder {
  const known = new Map<string, string | BadCell>();
  return (cell) => {
    if (typeof cell !== 'string' || cell.length > REMEMBERED_CHARACTERS) return encode(cell);
    const found = known.get(cell);
    if (found !== undefined) return found;
    const encoded = encode(cell);
    if (known.size < REMEMBERED) known.set(cell, encoded);
    return encoded;
  };
}

/** Blanks are NULL, or what the mapping says; a required cell must not be NULL. */
export function cellEncoder({ kind, isRequired = false, maxCharacters = MAX_TEXT }: Column, whenBlank?: string): CellEncoder {
  const encode = kind === 'text' ? remembering(encodeText(maxCharacters)) : kind === 'month' || kind === 'risk' ? remembering(ENCODERS[kind]) : ENCODERS[kind];
  const blank = whenBlank === undefined ? (isRequired ? missing : COPY_NULL) : encode(whenBlank);
  if (kind === 'isdn') return (cell) => (cell === null || cell === undefined || cell === '' ? blank : encode(cell));
  if (kind === 'number') return (cell) => (typeof cell === 'string' && cell.length <= 15 && PLAIN_NUMBER.test(cell) ? cell : isNothing(cell) ? blank : encode(cell));
  return (cell) => (isNothing(cell) ? blank : encode(cell));
}
const PLAIN_NUMBER = /^-?\d+(?:\.\d+)?$/;
