import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { Readable, Transform } from 'node:stream';
import type { Client } from '@millrace/client/contract';
import type { ImportReport } from '@millrace/contracts';
import { UsageError } from '../usage-error.ts';
import type { Progress } from '../progress.ts';

export interface ImportOptions {
  readonly map: readonly string[];
  readonly format?: string;
  readonly currency?: string;
  readonly encoding?: string;
  readonly delimiter?: string;
  readonly dryRun?: boolean;
  readonly atomic?: boolean;
  /** Bad rows that are printed one by one; the others are only counted. */
  readonly maxErrors: number;
}

const formatOf = (file: string): 'ndjson' | 'csv' | undefined => {
  const name = basename(file).replace(/\.gz$/, '');
  return /\.(csv|tsv)$/.test(name) ? 'csv' : /\.(ndjson|jsonl)$/.test(name) ? 'ndjson' : undefined;
};

/** Sends the file to the gateway and shows how it goes. Returns the report: `failed` rows and `error` are the caller's to judge. */
export async function importFile(client: Client, file: string, options: ImportOptions, output: { readonly progress: Progress; readonly print: (line: string) => void }): Promise<ImportReport> {
  const info = await stat(file).catch(() => undefined);
  if (!info?.isFile()) throw new UsageError(`${file} is not a file that can be read`);
  const format = options.format ?? formatOf(file);
  if (format !== 'ndjson' && format !== 'csv') throw new UsageError('say --format ndjson or --format csv: the file name does not tell');
  let sent = 0;
  const counter = new Transform({ transform: (chunk: Buffer, _encoding, done) => { sent += chunk.length; output.progress.bytes(sent, info.size); done(null, chunk); } });
  const body = Readable.toWeb(createReadStream(file).pipe(counter));
  const query = {
    format, map: options.map, currency: options.currency, encoding: options.encoding, delimiter: options.delimiter ?? (/\.tsv(\.gz)?$/.test(file) ? '\t' : undefined),
    ...(options.dryRun === true && { dry_run: true }), ...(options.atomic === true && { atomic: true }),
  };
  let errors = 0;
  let report: ImportReport | undefined;
  for await (const line of client.importProducts(body, { contentType: format === 'csv' ? 'text/csv' : 'application/x-ndjson', query })) {
    if (line.type === 'progress') output.progress.rows(line.rows);
    else if (line.type === 'report') report = line;
    else if ((errors += 1) <= options.maxErrors) output.print(`line ${line.line}${line.sku === null ? '' : ` (${line.sku})`}: ${line.pointer} ${line.detail}`.trimEnd());
  }
  output.progress.stop();
  if (errors > options.maxErrors) output.print(`and ${errors - options.maxErrors} more bad rows`);
  if (!report) throw new Error('the import ended without a report: the connection broke off');
  return report;
}

/** One line for people. */
export const describeReport = (report: ImportReport): string =>
  `${report.dry_run ? 'dry run: ' : ''}${report.rows} rows: ${report.created} created, ${report.updated} updated, ${report.unchanged} unchanged, ${report.failed} failed in ${report.seconds} s`
  + `${report.committed || report.dry_run ? '' : ' (nothing was written)'}${report.error === null ? '' : `; ${report.error}`}`;
