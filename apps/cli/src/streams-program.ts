import type { Client } from '@millrace/client/contract';
import type { Command } from 'commander';
import type { ChooseOptions } from './chosen.ts';
import { changeLetters, describeLetters, editLetter, listLetters, saveData, showLetter } from './commands/dead-letters.ts';
import type { FilterOptions } from './commands/dead-letters.ts';
import { describeStreams, dropStreamGroup, readStreams, repartitionStream } from './commands/streams.ts';
import type { DropOptions } from './commands/streams.ts';

export interface StreamsProgramDeps {
  readonly connect: (timeoutMs?: number) => Promise<Client>;
  readonly print: (line: string) => void;
  readonly printError: (line: string) => void;
}

/** The gateway itself gives up after 120 s. */
const LONG_MS = 130_000;
const toJson = (value: unknown): string => JSON.stringify(value, undefined, 2);

export function addStreams(program: Command, { connect, print }: StreamsProgramDeps): void {
  const streams = program
    .command('streams')
    .description('topics, their partitions and their groups')
    .option('--json', 'everything, for programs')
    .action(async (options: { json?: boolean }) => {
      const topics = await readStreams(await connect());
      print(options.json === true ? toJson(topics) : describeStreams(topics));
    });
  streams
    .command('groups')
    .description('consumer groups')
    .command('drop <name>')
    .description('remove a group that is no longer read, so that it holds nothing back')
    .option('--topic <topic>', 'only from this topic; default: from all that have it')
    .option('--force', 'although it is in use or has dead letters, which go with it')
    .option('--dry-run', 'tell what would go, change nothing')
    .action(async (name: string, options: DropOptions) => (await dropStreamGroup(await connect(), name, options)).forEach((line) => print(line)));
  streams
    .command('repartition <topic> <partitions>')
    .description('give a topic another number of partitions; consumers finish the old ones first')
    .action(async (topic: string, partitions: string) => print(await repartitionStream(await connect(), topic, partitions)));
}

const withFilters = (command: Command): Command =>
  command
    .option('--topic <topic>', 'of this topic')
    .option('--group <group>', 'of this consumer group')
    .option('--reason <text>', 'part of the reason')
    .option('--key <key>', 'the ordering key, whole, such as a sku')
    .option('--since <time>', 'parked at this time (ISO 8601, such as 2026-11-02T08:00:00Z) or later')
    .option('--until <time>', 'parked before this time');

export function addDeadLetters(program: Command, { connect, print, printError }: StreamsProgramDeps): void {
  const dlq = program.command('dlq').description('dead letters: events that a group could not handle');
  withFilters(dlq.command('list').description('the oldest of each group'))
    .option('--limit <n>', 'at most so many', (value) => Number(value), 50)
    .option('--json', 'for programs')
    .action(async (options: FilterOptions & { limit: number; json?: boolean }) => {
      const { items, hasMore } = await listLetters(await connect(LONG_MS), options, options.limit);
      print(options.json === true ? toJson(items) : describeLetters(items));
      if (hasMore) printError(`there are more than these ${items.length}: use --limit or a filter`);
    });
  dlq
    .command('show <id>')
    .description('one of them with all fields of its event')
    .option('--out <file>', 'write its data alone to a file, to be edited')
    .action(async (id: string, options: { out?: string }) => {
      const letter = await showLetter(await connect(), id);
      if (options.out === undefined) return print(toJson(letter));
      await saveData(letter, options.out);
      print(`wrote the data to ${options.out}`);
    });
  dlq
    .command('edit <id>')
    .description('replace the data of one; it gets a new id')
    .requiredOption('--data <json|@file>', 'JSON, or @ and a file that holds it')
    .action(async (id: string, options: { data: string }) => print(`it is ${(await editLetter(await connect(), id, options.data)).id} now: replay it`));
  withFilters(dlq.command('replay [ids...]').description('append events to their topic again, for every group'))
    .option('--all', 'every dead letter there is')
    .option('--dry-run', 'only count')
    .action(async (ids: readonly string[], options: ChooseOptions & FilterOptions) => print(await changeLetters(await connect(LONG_MS), 'replay', ids, options)));
  withFilters(dlq.command('discard [ids...]').description('remove them for good'))
    .option('--all', 'every dead letter there is')
    .option('--dry-run', 'only count')
    .option('--yes', 'discard although they are not named one by one')
    .action(async (ids: readonly string[], options: ChooseOptions & FilterOptions) => print(await changeLetters(await connect(LONG_MS), 'discard', ids, options)));
}
