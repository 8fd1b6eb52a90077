import Table from 'cli-table3';

export interface Column<Row> {
  readonly head: string;
  readonly of: (row: Row) => string | number;
  /** Longer texts are cut; default: nothing is. */
  readonly maxLength?: number;
}

const NO_LINES = { top: '', 'top-mid': '', 'top-left': '', 'top-right': '', bottom: '', 'bottom-mid': '', 'bottom-left': '', 'bottom-right': '', left: '', 'left-mid': '', mid: '', 'mid-mid': '', right: '', 'right-mid': '', middle: '  ' };

/** What events brought along must not steer the terminal. */
const printable = (text: string): string => text.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]|\p{Bidi_Control}/gu, ' ');

const cut = (text: string, maxLength: number): string => (text.length > maxLength ? `${text.slice(0, maxLength - 1)}…` : text);

/** Columns for people, without lines: numbers to the right, texts to the left. */
export function renderTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const cells = rows.map((row) => columns.map((column) => column.of(row)));
  const table = new Table({
    head: columns.map(({ head }) => head), chars: NO_LINES, style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [] },
    colAligns: columns.map((_column, index) => (cells.length > 0 && cells.every((row) => typeof row[index] === 'number') ? 'right' : 'left')),
  });
  table.push(...cells.map((row) => row.map((cell, index) => (typeof cell === 'number' ? cell : cut(printable(cell), columns[index]?.maxLength ?? Infinity)))));
  return table.toString().split('\n').map((line) => line.trimEnd()).join('\n');
}

const UNITS = [[86_400_000, 'd'], [3_600_000, 'h'], [60_000, 'min'], [1_000, 's']] as const;

/** 1500 is "1.5 s"; 0 is "-". */
export function formatAge(ms: number): string {
  if (ms <= 0) return '-';
  const [unitMs, unit] = UNITS.find(([size]) => ms >= size) ?? [1, 'ms'];
  const value = ms / unitMs;
  return `${value < 10 ? Math.floor(value * 10) / 10 : Math.floor(value)} ${unit}`;
}
