import type { Topic } from '@millrace/bus';
import type { TailLog } from '@millrace/bus/engine';
import type { Client } from './client.ts';
import { toEntry, toNumber } from './rows.ts';
import type { TopicWatcher } from './watcher.ts';

/** Numbers have no gaps but by trimming and erasing, so what is missing is seen. */
export function openPostgresTail({ run, schema }: Client, watcher: TopicWatcher, { name: topic }: Topic): TailLog {
  let waking = new AbortController();
  return {
    async tail() {
      const [row] = await run(`select last_number from ${schema}.topics where name = $1`, [topic]);
      return row ? toNumber(row['last_number']) : 0;
    },
    async read(after, count, blockMs) {
      waking = new AbortController();
      const { signal } = waking;
      const givenUpAt = performance.now() + blockMs;
      for (;;) {
        const known = watcher.known(topic);
        const entries = known > 0 && known <= after ? [] : (await run(`select number, ms, fields from ${schema}.events where topic = $1 and number > $2 order by number limit $3`, [topic, after, count])).map(toEntry);
        const left = givenUpAt - performance.now();
        if (entries.length > 0 || left <= 0 || signal.aborted) return entries;
        await watcher.wait(topic, known, { ms: left, signal });
      }
    },
    interrupt: () => waking.abort(),
    takeReconnected: () => false,
    close: async () => undefined,
  };
}
