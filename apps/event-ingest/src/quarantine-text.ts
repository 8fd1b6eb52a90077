import { interactionTypes, QUARANTINE_LIMITS, userIdSchema } from '@millrace/contracts';
import type { InteractionType } from '@millrace/contracts';
import { z } from 'zod';

/** What is kept of an item that was refused. */
export interface KeptText {
  readonly raw: string;
  /** Of the whole item. */
  readonly bytes: number;
  readonly isCut: boolean;
  /** Where they can be read. */
  readonly userId: string | undefined;
  readonly eventId: string | undefined;
}

const MASK = '***';
// Every repetition that may fail is bounded: the text is an attacker's.
const SECRET_NAME = '[\\w-]{0,40}(?:passw(?:or)?d|secret|token|api[_-]?key|authori[sz]ation|cookie|credit[_-]?card|card[_-]?number|cvv)[\\w-]{0,40}';
/** The value of a name that tells of a secret: a string (perhaps cut off) or a bare word. */
const NAMED_SECRET = new RegExp(`("${SECRET_NAME}"\\s{0,20}:\\s{0,20})(?:"(?:[^"\\\\]|\\\\.)*(?:"|\\\\?$)|[^\\s",\\[\\]{}]+)`, 'gis');
/** Keys of this product, bearer tokens and JWTs, wherever they are. */
const SECRETS = [/\bmr_[\w-]{12,}/g, /\bBearer\s{1,20}[\w.~+/=-]{8,}/gi, /\beyJ[\w-]{8,400}\.[\w.-]{8,}/g];

/** Without what looks like a secret, as far as a program can tell. JSON stays JSON. */
export const withoutSecrets = (text: string): string => SECRETS.reduce((rest, secret) => rest.replaceAll(secret, MASK), text.replaceAll(NAMED_SECRET, `$1"${MASK}"`));

const NUL = /\0/g;
/** Postgres holds no NUL and no half of a surrogate pair. */
export const storable = (text: string): string => text.replaceAll(NUL, '\uFFFD').toWellFormed();

/** A JSON string or a whole number after the name, in text that need not be JSON. */
function readField(text: string, name: string): unknown {
  const [, found] = new RegExp(`"${name}"\\s{0,20}:\\s{0,20}("(?:[^"\\\\]|\\\\.){0,1200}"|\\d{1,16}(?![\\d.]))`, 's').exec(text) ?? [];
  return found === undefined ? undefined : parseJson(found);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const typedSchema = z.object({ event_type: z.enum(interactionTypes) });
/** The type of event that this text is of; undefined: of none. */
export const typeIn = (text: string): InteractionType | undefined => typedSchema.safeParse(parseJson(text)).data?.event_type;

const recordSchema = z.record(z.string(), z.unknown());
const eventIdSchema = z.string().regex(/^[\w.:-]{1,64}$/);

/** Bytes as text; anything else as JSON. Empty where it cannot be written (nested too deep). */
function textOf(item: unknown): string {
  if (Buffer.isBuffer(item)) return item.toString('utf8');
  try {
    return JSON.stringify(item) ?? '';
  } catch {
    return '';
  }
}

/** At most so many bytes of UTF-8, by whole characters. */
function cutTo(maxBytes: number, text: string): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= maxBytes) return text;
  let end = maxBytes;
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return bytes.subarray(0, end).toString('utf8');
}

/**
 * The text of an item as it is kept: an unparsed line (bytes), or a parsed value. A user is one that POST /api/event would take; where the text
 * is not JSON it is looked for by its name.
 */
export function keptText(item: unknown): KeptText {
  const whole = Buffer.isBuffer(item) ? item.subarray(0, 2 * QUARANTINE_LIMITS.rawBytes) : item;
  const text = textOf(whole);
  const bytes = Buffer.isBuffer(item) ? item.length : Buffer.byteLength(text);
  const cut = cutTo(QUARANTINE_LIMITS.rawBytes, text);
  const isCut = bytes > QUARANTINE_LIMITS.rawBytes || (text === '' && bytes === 0);
  const parsed = recordSchema.safeParse(Buffer.isBuffer(item) ? (isCut ? undefined : parseJson(cut)) : item).data;
  const fieldOf = (name: string): unknown => (parsed ? parsed[name] : readField(cut, name));
  return {
    raw: cutTo(QUARANTINE_LIMITS.rawBytes, storable(withoutSecrets(cut))), bytes, isCut,
    userId: userIdSchema.safeParse(fieldOf('user_id')).data, eventId: eventIdSchema.safeParse(fieldOf('event_id')).data,
  };
}

const FIELDS = new Set(['user_id', 'asin', 'event_type', 'metadata', 'event_id', 'timestamp', 'session_id', 'ranking_id', 'rating']);

/** Names that a caller made up may name a person: of a pointer only the fields of an event are kept. */
export const safePointer = (pointer: string): string => pointer.split('/').map((part) => (part === '' || FIELDS.has(part) ? part : MASK)).join('/');
