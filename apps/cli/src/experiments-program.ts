import type { Command } from 'commander';
import { describeExperiments, describeResults, experimentOf, experimentsOf, resultsOf } from './commands/experiments.ts';
import type { StreamsProgramDeps } from './streams-program.ts';

const toJson = (value: unknown): string => JSON.stringify(value, undefined, 2);

export function addExperiments(program: Command, { connect, print }: StreamsProgramDeps): void {
  const experiments = program.command('experiments').description('experiments with recommendations');
  experiments
    .command('list')
    .description('the newest first')
    .option('--json', 'everything, for programs')
    .action(async (options: { json?: boolean }) => {
      const found = await experimentsOf(await connect());
      print(options.json === true ? toJson(found) : describeExperiments(found));
    });
  experiments.command('show <key>').description('one with its variants and their settings').action(async (key: string) => print(toJson(await experimentOf(await connect(), key))));
  experiments
    .command('results <key>')
    .description('what it has shown, with 95 % intervals')
    .option('--json', 'everything, for programs')
    .action(async (key: string, options: { json?: boolean }) => {
      const results = await resultsOf(await connect(60_000), key);
      if (options.json === true) print(toJson(results));
      else for (const line of describeResults(results)) print(line);
    });
}
