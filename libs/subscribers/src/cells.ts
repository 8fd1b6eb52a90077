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
const TO_ESCAPE = /[\\\t\n\r]/;
const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' };
const LONE_SURROGATE = /[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/;

const notANumber: BadCell = { reason: 'is not a number' };
const tooLarge: BadCell = { reason: 'is a number beyond 10^15' };
const notText: BadCell = { reason: 'holds characters that cannot be stored' };
const tooLong: BadCell = { reason: `is longer than ${MAX_TEXT} characters` };
const notIsdn: BadCell = { reason: 'is neither a Vietnamese mobile number nor a token of 8 to 128 characters without spaces' };
const notRisk: BadCell = { reason: 'must be LOW, MEDIUM or HIGH' };
const notMonth: BadCell = { reason: 'is not a month from 2000-01 to 2099-12' };
const notDate: BadCell = { reason: 'is not a date' };
const notJson: BadCell = { reason: 'is not JSON' };
const notCount: BadCell = { reason: 'is not a whole number' };
const missing: BadCell = { reason: 'is required' };

export const escapeCopy = (text: string): string => (TO_ESCAPE.test(text) ? text.replaceAll(/[\\\t\n\r]/g, (found) => ESCAPES[found] ?? found) : text);

const isNothing = (cell: unknown): boolean => cell === null || cell === undefined || (typeof cell === 'string' && (cell === '' || NULLS.has(cell) || cell.trim() === '')) || (typeof cell === 'number' && Number.isNaN(cell));

function asText(cell: unknown): string | undefined {
  if (typeof cell === 'string') return cell;
  if (typeof cell === 'number' || typeof cell === 'bigint' || typeof cell === 'boolean') return String(cell);
  return cell instanceof Date && !Number.isNaN(cell.getTime()) ? cell.toISOString() : undefined;
}

function encodeIsdn(cell: unknown): string | BadCell {
  const text = asText(cell);
  const isdn = text === undefined ? undefined : parseIsdn(text);
  return isdn === undefined ? notIsdn : escapeCopy(isdn);
}

function encodeText(cell: unknown): string | BadCell {
  const text = asText(cell)?.trim();
  if (text === undefined || text.includes('\0') || LONE_SURROGATE.test(text)) return notText;
  return text.length > MAX_TEXT ? tooLong : escapeCopy(text);
}

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
  const day = /^(\d{4}-\d\d-\d\d)(?:[ T].*)?$/.exec(asText(cell)?.trim() ?? '')?.[1];
  const date = new Date(`${day ?? ''}T00:00:00Z`);
  return day !== undefined && !Number.isNaN(date.getTime()) && date.toISOString().startsWith(day) ? day : notDate;
}

const plain = (_key: string, value: unknown): unknown => (typeof value === 'bigint' ? Number(value) : value);

function encodeJson(cell: unknown): string | BadCell {
  try {
    const text = JSON.stringify(typeof cell === 'string' ? JSON.parse(cell) : cell, plain);
    // jsonb holds neither.
    return text.includes(String.raw`\u0000`) || /\\ud[89a-f]/i.test(text) ? notText : escapeCopy(text);
  } catch {
    return notJson;
  }
}

const ENCODERS: Readonly<Record<ColumnKind, CellEncoder>> = { isdn: encodeIsdn, text: encodeText, number: encodeNumber, count: encodeCount, risk: encodeRisk, month: encodeMonth, date: encodeDate, json: encodeJson };

const REMEMBERED = 1_000;
/** Few values that come often: months, services, risks. */
function remembering(encode: CellEncoder): CellEncoder {
  const known = new Map<string, string | BadCell>();
  return (cell) => {
    if (typeof cell !== 'string') return encode(cell);
    const found = known.get(cell);
    if (found !== undefined) return found;
    const encoded = encode(cell);
    if (known.size < REMEMBERED) known.set(cell, encoded);
    return encoded;
  };
}

/** Blanks are NULL, or what the mapping says; a required cell must not be NULL. */
export function cellEncoder({ kind, isRequired = false }: Column, whenBlank?: string): CellEncoder {
  const encode = kind === 'month' || kind === 'risk' || kind === 'text' ? remembering(ENCODERS[kind]) : ENCODERS[kind];
  const blank = whenBlank === undefined ? (isRequired ? missing : COPY_NULL) : encode(whenBlank);
  if (kind === 'isdn') return (cell) => (cell === null || cell === undefined || cell === '' ? blank : encode(cell));
  if (kind === 'number') return (cell) => (typeof cell === 'string' && cell.length <= 15 && PLAIN_NUMBER.test(cell) ? cell : isNothing(cell) ? blank : encode(cell));
  return (cell) => (isNothing(cell) ? blank : encode(cell));
}
const PLAIN_NUMBER = /^-?\d+(?:\.\d+)?$/;
