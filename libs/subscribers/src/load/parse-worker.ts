/** Thread that reads and checks one file; `workerData` is ParseRequest. Bundled beside main.js as subscriber-file-worker.js. */
import { parentPort, workerData } from 'node:worker_threads';
import { datasets } from '../datasets.ts';
import { createErasedFilter } from '../erasure/erased-filter.ts';
import type { ErasedList } from '../erasure/erased-filter.ts';
import { LoadRefusedError } from '../errors.ts';
import { readFile } from '../files/read-file.ts';
import { unescapeCopy } from '../generations/encode-subscriber.ts';
import { createRowEncoder } from '../row-encoder.ts';
import type { RowEncoder } from '../row-encoder.ts';
import type { BadRow, ParseReply, ParseRequest, ParseSummary } from './protocol.ts';

/** Characters of one message, and messages on their way. */
const MESSAGE_CHARACTERS = 262_144;
const MAX_UNDERWAY = 12;
const BAD_ROWS = 1_000;

const post = (reply: ParseReply, transfer: readonly ArrayBuffer[] = []): void => parentPort?.postMessage(reply, transfer);

interface Messages {
  add(line: string): void;
  refuse(row: BadRow): void;
  /** Sends what has come together; `bytes` of the file are done. */
  flush(bytes?: number): void;
  /** Until the other side has taken most of what was sent. */
  wait(): Promise<void>;
  readonly rows: number;
  readonly badRows: number;
}

/** Rows on their way to the other side, which says what it has taken. */
function createMessages(): Messages {
  let lines: string[] = [];
  let bad: BadRow[] = [];
  let [characters, rows, badRows, bytes, underway] = [0, 0, 0, 0, 0];
  let wake: (() => void) | undefined;
  parentPort?.on('message', () => {
    underway -= 1;
    wake?.();
  });
  const flush = (done = bytes): void => {
    bytes = done;
    if (bad.length > 0) post({ kind: 'bad', rows: bad });
    bad = [];
    if (lines.length === 0) return;
    const copy = new TextEncoder().encode(`${lines.join('\n')}\n`);
    underway += 1;
    post({ kind: 'rows', copy, rows: lines.length, bytes }, [copy.buffer]);
    lines = [];
    characters = 0;
  };
  return {
    flush,
    add(line) {
      rows += 1;
      characters += line.length + 1;
      lines.push(line);
      if (characters >= MESSAGE_CHARACTERS) flush();
    },
    refuse(row) {
      badRows += 1;
      bad.push(row);
      if (bad.length >= BAD_ROWS) flush();
    },
    async wait() {
      for (;;) {
        if (underway < MAX_UNDERWAY) return;
        await new Promise<void>((resolve) => { wake = resolve; });
      }
    },
    get rows() {
      return rows;
    },
    get badRows() {
      return badRows;
    },
  };
}

interface Judge {
  /** A line that may be loaded. */
  good(line: string, at: number, encoder: RowEncoder): void;
  bad(row: BadRow): void;
}

const first = (messages: Messages): Judge => ({ good: (line) => messages.add(line), bad: (row) => messages.refuse(row) });

/** The second run over a file: of interest are only rows that repeat a key. */
function repeated(messages: Messages, keys: readonly string[], keyName: string): Judge {
  const seen = new Map(keys.map((key) => [key, 0]));
  return {
    good(line, at, encoder) {
      const key = encoder.keyOf(line);
      const times = seen.get(key);
      if (times === undefined) return;
      seen.set(key, times + 1);
      if (times > 0) messages.refuse({ line: at, column: keyName, reason: 'repeats the key of an earlier row', isdn: unescapeCopy(key.split('\t')[0] ?? '') });
    },
    bad: () => undefined,
  };
}

interface ErasingJudge extends Judge {
  readonly erasedRows: number;
}

/** Leaves out, and counts, the rows of those who were erased; without a list it is the judge itself. */
function leavingOut(judge: Judge, list: ErasedList | undefined): ErasingJudge {
  if (list === undefined) return { ...judge, erasedRows: 0 };
  const isErased = createErasedFilter(list);
  let erasedRows = 0;
  return {
    good(line, at, encoder) {
      if (isErased(unescapeCopy(line.slice(0, line.indexOf('\t'))))) erasedRows += 1;
      else judge.good(line, at, encoder);
    },
    bad(row) {
      if (row.isdn !== undefined && isErased(row.isdn)) erasedRows += 1;
      else judge.bad(row);
    },
    get erasedRows() {
      return erasedRows;
    },
  };
}

async function parseFile({ dataset: name, source, mapping, duplicates, erased }: ParseRequest): Promise<ParseSummary> {
  const dataset = datasets[name];
  const messages = createMessages();
  const judge = leavingOut(duplicates === undefined ? first(messages) : repeated(messages, duplicates, dataset.key.join(', ')), erased);
  let encoder: RowEncoder | undefined;
  const sha256 = await readFile(source, {
    onHeader(headers) {
      encoder = createRowEncoder(dataset, headers, mapping);
      return encoder.used;
    },
    onRow(cells, at) {
      if (encoder === undefined) return;
      const line = encoder.encode(cells);
      if (typeof line === 'string') judge.good(line, at, encoder);
      else judge.bad({ line: at, ...line, isdn: line.isdn === undefined ? undefined : unescapeCopy(line.isdn) });
    },
    onBadRow: (line, reason) => judge.bad({ line, column: '', reason, isdn: undefined }),
    async onProgress(bytes) {
      messages.flush(bytes);
      await messages.wait();
    },
  });
  messages.flush();
  return { rows: messages.rows, badRows: messages.badRows, erasedRows: judge.erasedRows, sha256, ignoredColumns: encoder?.ignored ?? [] };
}

try {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- set by parse-thread.ts alone
  const summary = await parseFile(workerData as ParseRequest);
  post({ kind: 'done', summary });
} catch (error) {
  post(error instanceof LoadRefusedError ? { kind: 'refused', message: error.message } : { kind: 'failed', error });
}
// The port would keep the thread.
parentPort?.close();
