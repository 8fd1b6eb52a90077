import { recountAnalytics } from '@millrace/contracts';
import type { Command } from 'commander';
import type { StreamsProgramDeps } from './streams-program.ts';
import { UsageError } from './usage-error.ts';

/** The gateway itself gives up after 300 s. */
const LONG_MS = 310_000;
/** Of one call: a few hundred days of a large log would take longer than that. */
const PART_MS = 31 * 86_400_000;

const toMs = (name: string, text: string): number => {
  const at = Date.parse(text);
  if (!/^\d{4}-\d{2}-\d{2}/.test(text) || Number.isNaN(at)) throw new UsageError(`--${name} ${text} is no time: use a day such as 2026-11-02, or a time such as 2026-11-02T08:00:00Z`);
  return at;
};
const dayOf = (at: number): number => Math.floor(at / 86_400_000) * 86_400_000;

/** From one midnight (UTC) to another, but for the ends. */
function partsOf(from: number, to: number): readonly (readonly [number, number])[] {
  const parts: (readonly [number, number])[] = [];
  for (let start = from; start < to; start = Math.min(dayOf(start) + PART_MS, to)) parts.push([start, Math.min(dayOf(start) + PART_MS, to)]);
  return parts;
}

export function addAnalytics(program: Command, { connect, print }: StreamsProgramDeps): void {
  const analytics = program.command('analytics').description('counts by time');
  analytics
    .command('recount')
    .description('count views, clicks, carts, purchases and ratings of a time again, from the log; safe to repeat')
    .requiredOption('--from <time>', 'a day or a time, UTC where it has no offset')
    .requiredOption('--to <time>', 'not included; whole hours in the last 48 hours, whole days before')
    .action(async ({ from, to }: { from: string; to: string }) => {
      const parts = partsOf(toMs('from', from), toMs('to', to));
      if (parts.length === 0) throw new UsageError('--from must be before --to');
      const client = await connect(LONG_MS);
      for (const [start, end] of parts) {
        const { body } = await client.call(recountAnalytics, { body: { from: new Date(start).toISOString(), to: new Date(end).toISOString() } });
        print(`${body.from} to ${body.to}: ${body.added} added, ${body.removed} removed`);
      }
    });
}
