/**
 * Money without floats: amounts travel as decimal text between the edge and Postgres (NUMERIC), and as integer
 * minor units (ISO 4217 exponent: VND 0, USD 2, KWD 3) in the indexes.
 */
import { z } from 'zod';

const CURRENCIES = new Set(Intl.supportedValuesOf('currency'));
const exponents = new Map<string, number>();

/** Is this an ISO 4217 code that the platform's ICU data knows? Upper case only. */
export const isCurrency = (code: string): boolean => CURRENCIES.has(code);

/** Digits after the decimal point of the currency's minor unit (ECMA-402 takes them from ISO 4217). */
export function minorUnitDigits(currency: string): number {
  let digits = exponents.get(currency);
  if (digits === undefined) {
    digits = new Intl.NumberFormat('en', { style: 'currency', currency }).resolvedOptions().maximumFractionDigits ?? 2;
    exponents.set(currency, digits);
  }
  return digits;
}

/** No amount needs more characters; a row of zeros in a longer text would take a square of its length. */
const MAX_DECIMAL = 100;

/** Decimal text to integer minor units. Undefined where the amount has more decimals than the currency, is too large to be exact, or is no decimal of at most 100 characters. */
export function toMinor(decimal: string, currency: string): number | undefined {
  if (decimal.length > MAX_DECIMAL) return undefined;
  const match = /^(-?)(\d+)(?:\.(?=\d)(\d*?)0*)?$/.exec(decimal);
  if (!match) return undefined;
  const digits = minorUnitDigits(currency);
  const fraction = match[3] ?? '';
  if (fraction.length > digits) return undefined;
  const minor = Number(`${match[1] ?? ''}${match[2] ?? ''}${fraction.padEnd(digits, '0')}`);
  return Number.isSafeInteger(minor) ? minor : undefined;
}

/** Integer minor units to decimal text: 12595 USD is "125.95". */
export function fromMinor(minor: number, currency: string): string {
  const digits = minorUnitDigits(currency);
  const text = String(Math.abs(minor)).padStart(digits + 1, '0');
  const sign = minor < 0 ? '-' : '';
  return digits === 0 ? sign + text : `${sign}${text.slice(0, -digits)}.${text.slice(-digits)}`;
}

export const currencySchema = z
  .string()
  .refine(isCurrency, { error: 'must be an ISO 4217 currency code in upper case, such as USD or VND' })
  .meta({ description: 'ISO 4217 code', example: 'USD' });

/** A non-negative amount, as a JSON number or as decimal text; normalised to decimal text. At most 15 digits, so a JSON number holds it exactly. */
export const priceInputSchema = z
  .union([z.number().nonnegative(), z.string().regex(/^\d{1,15}(\.\d{1,6})?$/, 'must be a decimal such as 19.90')])
  .transform((value) => String(value))
  .refine((text) => /^\d{1,15}(\.\d{1,6})?$/.test(text) && text.replace('.', '').length <= 15, { error: 'must be at least 0 and have at most 15 digits' })
  .meta({ description: 'Price, not negative, with no more decimals than its currency has', example: 19.9 });
