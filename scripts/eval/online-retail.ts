/** online-retail of the shared data folder: a year of a shop's invoices. Never part of the product. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import { parquetReadObjects } from 'hyparquet';
import { z } from 'zod';
import { sharedFolder } from './icecat.ts';

export interface Invoice { readonly customer: string; readonly atMs: number; readonly skus: readonly string[] }

const rowSchema = z.object({ InvoiceNo: z.string(), StockCode: z.string(), Quantity: z.coerce.number(), InvoiceDate: z.string(), UnitPrice: z.number(), CustomerID: z.number().nullish() });
const COLUMNS = Object.keys(rowSchema.shape);

/** Invoices by time, oldest first, with the rows that the protocol keeps (README of the shared data). Undefined where the data is not on this machine. */
export async function loadInvoices(): Promise<Invoice[] | undefined> {
  const path = join(sharedFolder(), 'data/online-retail/online_retail.parquet');
  if (!existsSync(path)) return undefined;
  const bytes = readFileSync(path);
  const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  const rows = await parquetReadObjects({ file, columns: COLUMNS, compressors: { ZSTD: (input) => zstdDecompressSync(input) } });
  const invoices = new Map<string, { customer: string; atMs: number; skus: Set<string> }>();
  for (const raw of rows) {
    const row = rowSchema.parse(raw);
    const customer = row.CustomerID ?? Number.NaN;
    if (Number.isNaN(customer) || row.Quantity <= 0 || row.UnitPrice <= 0 || !/^\d{5}/.test(row.StockCode)) continue;
    const invoice = invoices.get(row.InvoiceNo) ?? { customer: String(customer), atMs: Date.parse(`${row.InvoiceDate.replace(' ', 'T')}Z`), skus: new Set<string>() };
    invoice.skus.add(row.StockCode);
    invoices.set(row.InvoiceNo, invoice);
  }
  return [...invoices.values()].map(({ customer, atMs, skus }) => ({ customer, atMs, skus: [...skus] })).toSorted((a, b) => a.atMs - b.atMs);
}

export interface TestCase {
  readonly customer: string;
  readonly atMs: number;
  readonly bought: ReadonlySet<string>;
  /** Earlier invoices of the same customer, oldest first. */
  readonly before: readonly Invoice[];
}
export interface Split { readonly train: readonly Invoice[]; readonly tests: readonly TestCase[] }

/** Each customer's last invoice is the test where there are at least two. */
export function splitLast(invoices: readonly Invoice[]): Split {
  const train: Invoice[] = [];
  const tests: TestCase[] = [];
  for (const [customer, own] of Map.groupBy(invoices, (invoice) => invoice.customer)) {
    const last = own.length >= 2 ? own.at(-1) : undefined;
    const before = last === undefined ? own : own.slice(0, -1);
    train.push(...before);
    if (last !== undefined) tests.push({ customer, atMs: last.atMs, bought: new Set(last.skus), before });
  }
  const byTime = (a: { readonly atMs: number }, b: { readonly atMs: number }): number => a.atMs - b.atMs;
  return { train: train.toSorted(byTime), tests: tests.toSorted(byTime) };
}
