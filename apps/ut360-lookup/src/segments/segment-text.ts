/** A cell of an export. */
export type Cell = string | number | null;
export type Format = 'csv' | 'ndjson';

/**
 * What a spreadsheet takes for a formula (OWASP, CSV Injection), with the wide forms of the same characters. Numbers are none, negative ones neither:
 * -1 is also a name that clusters have.
 */
const FORMULA = /^[=+\-@\t\r\n\uFF1D\uFF0B\uFF0D\uFF20]/;
const NUMBER = /^-?\d+(?:\.\d+)?$/;
const TO_QUOTE = /[",\r\n]|^\s|\s$/;
/** Nearly every text: there is nothing to look at. */
const PLAIN = /^[A-Za-z0-9_/][A-Za-z0-9_/+=.-]*$/;

/** One cell of CSV (RFC 4180). */
export function csvCell(cell: Cell): string {
  if (typeof cell === 'number') return String(cell);
  if (cell === null) return '';
  if (PLAIN.test(cell)) return cell;
  const text = FORMULA.test(cell) && !NUMBER.test(cell) ? `'${cell}` : cell;
  return TO_QUOTE.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function csvRow(cells: readonly Cell[]): string {
  let line = '';
  for (let at = 0; at < cells.length; at += 1) line += (at === 0 ? '' : ',') + csvCell(cells[at] ?? null);
  return `${line}\n`;
}

export interface RowWriter {
  readonly contentType: string;
  /** Before the first row. */
  readonly head: string;
  readonly row: (cells: readonly Cell[]) => string;
  /** After the last row, where the format has a place for it. */
  readonly end: (facts: { readonly rows: number; readonly generation: number }) => string;
}

/** Lines of one format. */
export function createRowWriter(format: Format, columns: readonly string[]): RowWriter {
  if (format === 'csv') return { contentType: 'text/csv; charset=utf-8; header=present', head: `${columns.join(',')}\n`, row: csvRow, end: () => '' };
  const names = columns.map((name, at) => `${at === 0 ? '{' : ','}"${name}":`);
  return {
    contentType: 'application/x-ndjson; charset=utf-8', head: '',
    row: (cells) => `${names.map((name, at) => name + JSON.stringify(cells[at])).join('')}}\n`,
    end: (facts) => `${JSON.stringify({ type: 'end', ...facts })}\n`,
  };
}
