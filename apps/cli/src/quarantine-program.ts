import type { Command } from 'commander';
import { describeItems, discardItems, listItems, repairItem, replayItems, saveItem, showItem } from './commands/quarantine.ts';
import type { QuarantineChooseOptions, QuarantineFilterOptions } from './commands/quarantine.ts';
import type { StreamsProgramDeps } from './streams-program.ts';

/** The gateway itself gives up after 120 s. */
const LONG_MS = 130_000;
const toJson = (value: unknown): string => JSON.stringify(value, undefined, 2);

const withFilters = (command: Command): Command =>
  command
    .option('--code <code>', 'code of the answer that refused it, such as invalid_request')
    .option('--user <id>', 'events of this user; the key needs events:read, too')
    .option('--since <time>', 'refused at this time (ISO 8601, such as 2026-11-02T08:00:00Z) or later')
    .option('--until <time>', 'refused before this time');

export function addQuarantine(program: Command, { connect, print, printError }: StreamsProgramDeps): void {
  const quarantine = program.command('quarantine').description('events that were refused as invalid');
  withFilters(quarantine.command('list').description('the oldest ones'))
    .option('--limit <n>', 'at most so many', (value) => Number(value), 50)
    .option('--json', 'for programs')
    .action(async (options: QuarantineFilterOptions & { limit: number; json?: boolean }) => {
      const { items, hasMore } = await listItems(await connect(), options, options.limit);
      print(options.json === true ? toJson(items) : describeItems(items));
      if (hasMore) printError(`there are more than these ${items.length}: use --limit or a filter`);
    });
  quarantine
    .command('show <id>')
    .description('one of them with its text')
    .option('--out <file>', 'write the event alone to a file, to be edited')
    .action(async (id: string, options: { out?: string }) => {
      const item = await showItem(await connect(), id);
      if (options.out === undefined) return print(toJson(item));
      await saveItem(item, options.out);
      print(`wrote the event to ${options.out}`);
    });
  quarantine
    .command('repair <id>')
    .description('replace one by a valid event')
    .requiredOption('--item <json|@file>', 'the whole event as JSON, or @ and a file that holds it')
    .action(async (id: string, options: { item: string }) => print(`${(await repairItem(await connect(), id, options.item)).id} is valid now: replay it`));
  withFilters(quarantine.command('replay [ids...]').description('log those that are valid now'))
    .option('--all', 'everything in quarantine')
    .option('--dry-run', 'only count')
    .action(async (ids: readonly string[], options: QuarantineChooseOptions) => print(await replayItems(await connect(LONG_MS), ids, options)));
  withFilters(quarantine.command('discard [ids...]').description('remove them for good'))
    .option('--all', 'everything in quarantine')
    .option('--dry-run', 'only count')
    .option('--yes', 'discard although they are not named one by one')
    .action(async (ids: readonly string[], options: QuarantineChooseOptions) => print(await discardItems(await connect(LONG_MS), ids, options)));
}
