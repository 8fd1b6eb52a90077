import { setImmediate as nextTurn } from 'node:timers/promises';
import type { SearchReader } from '../ports.ts';
import { openEngine } from './engine.ts';

/**
 * A reader of one index in this very thread, for a validation or a trace: a thread for a handful of queries costs more memory and time than they do.
 * Each query blocks the process for as long as it takes, and gives way to what waits before.
 */
export function openInlineReader(directory: string, index: string): SearchReader {
  const engine = openEngine({ directory, index });
  const inTurn = async <T>(ask: () => T): Promise<T> => {
    await nextTurn();
    return ask();
  };
  return {
    search: (query) => inTurn(() => engine.search(query)),
    suggest: (prefix, limit) => inTurn(() => engine.suggest(prefix, limit)),
    versionOf: (sku) => inTurn(() => engine.versionOf(sku)),
    close: async () => engine.close(),
  };
}
