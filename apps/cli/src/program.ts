import { Command, CommanderError, Option } from 'commander';
import { describeReport, importFile } from './commands/import.ts';
import type { ImportOptions } from './commands/import.ts';
import { addAnalytics } from './analytics-program.ts';
import { addCache } from './cache-program.ts';
import { resync, syncClear, syncStats } from './commands/sync.ts';
import { addAudit } from './audit-program.ts';
import type { Config } from './config.ts';
import { connect } from './connection.ts';
import { addExperiments } from './experiments-program.ts';
import { FailedError } from './failed-error.ts';
import { addKeys } from './keys-program.ts';
import { loadMigrations } from './load-migrations.ts';
import { addMcp } from './mcp-program.ts';
import { createProgress } from './progress.ts';
import { addPosStub } from './pos-program.ts';
import { addQuarantine } from './quarantine-program.ts';
import { addRebuild } from './rebuild-program.ts';
import { addRecs } from './recs-program.ts';
import { addReplay } from './replay-program.ts';
import { addDeadLetters, addStreams } from './streams-program.ts';
import { addUsers } from './users-program.ts';
import { addUt360 } from './ut360-program.ts';
import { addTrace, addVerify } from './verify-program.ts';

export interface ProgramDeps {
  readonly config: Config;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly print: (line: string) => void;
  readonly printError: (line: string) => void;
}

const collect = (value: string, previous: readonly string[]): readonly string[] => [...previous, value];

function addCatalogue(program: Command, { config, print, printError }: ProgramDeps): void {
  program
    .command('import <file>')
    .description('import products from NDJSON or CSV (gzip too) through the gateway')
    .option('--map <field=column[:factor]>', 'take a field from a column, repeatable: --map price=price_cents:0.01', collect, [])
    .addOption(new Option('--format <format>', 'default: by the file name').choices(['ndjson', 'csv']))
    .option('--currency <code>', 'currency of rows that have none')
    .option('--encoding <label>', 'character encoding; default: by the byte order mark, else utf-8')
    .option('--delimiter <character>', 'CSV delimiter')
    .option('--dry-run', 'report what would change, change nothing')
    .option('--atomic', 'all rows or none')
    .option('--max-errors <n>', 'bad rows to print', (value) => Number(value), 20)
    .action(async (file: string, options: ImportOptions) => {
      const report = await importFile(await connect(config), file, options, { progress: createProgress(process.stderr), print: printError });
      print(describeReport(report));
      if (report.failed > 0 || report.error !== null) throw new FailedError('');
    });
  program
    .command('sample')
    .description('write the sample catalogue as NDJSON to standard output')
    .option('--count <n>', 'products', (value) => Number(value), 2_000)
    .option('--merchants', 'keep their merchants 1 to 6, which must exist; default: all of merchant 1')
    .action(async (options: { count: number; merchants?: boolean }) => (await import('./commands/sample.ts')).writeSample(options, process.stdout));
}

function addSync(program: Command, { config, print }: ProgramDeps): void {
  const sync = program.command('sync').description('the search sync');
  sync.command('stats').description('tracker, index and last sweep').action(async () => print(JSON.stringify(await syncStats(await connect(config)), undefined, 2)));
  sync.command('clear').description('clear the tracker: the next sweep checks everything again').action(async () => print(`cleared ${await syncClear(await connect(config))} entries`));
  program.command('resync').description('build a new search index beside the live one and swap').action(async () => {
    const stats = await resync(await connect(config), print);
    print(`live index: ${stats.index ?? 'none'}, ${stats.documents ?? 0} documents`);
  });
}

/** What needs Postgres or the services' keys is loaded with its command: no other one waits for it. */
function addOperations(program: Command, { config, env, print }: ProgramDeps): void {
  program
    .command('migrate')
    .description('bring the database to the newest version (as its owner, DATABASE_URL) and make the roles of the services')
    .action(async () => (await import('./commands/migrate.ts')).migrate({ databaseUrl: config.DATABASE_URL, rolesFile: config.MILLRACE_ROLES_FILE, given: env, loadMigrations, print }));
  program
    .command('internal-keys')
    .description('make the Ed25519 keys of the services and their JWKS')
    .requiredOption('--out <directory>', 'where to write them')
    .action(async (options: { out: string }) => {
      const { writeInternalKeys } = await import('./commands/internal-keys.ts');
      print(`wrote keys of ${(await writeInternalKeys(options.out)).join(', ')} to ${options.out}`);
    });
  addKeys(program, config, print);
}

/** The command line. Throws UsageError and CommanderError for wrong usage, FailedError (and others) for failed work. */
export function createProgram(deps: ProgramDeps): Command {
  const program = new Command('millrace').description('Operates a Millrace installation').enablePositionalOptions().exitOverride().configureOutput({ writeErr: (text) => deps.printError(text.trimEnd()) });
  addCatalogue(program, deps);
  addSync(program, deps);
  const { config, print, printError } = deps;
  const shared = { connect: (timeoutMs?: number) => connect(config, timeoutMs), print, printError };
  addStreams(program, shared);
  addDeadLetters(program, shared);
  addVerify(program, shared);
  addCache(program, shared);
  addTrace(program, shared);
  addRebuild(program, shared);
  addExperiments(program, shared);
  addUsers(program, shared);
  addAudit(program, shared);
  addAnalytics(program, shared);
  addQuarantine(program, shared);
  addReplay(program, shared);
  addRecs(program, shared);
  addUt360(program, { config, print });
  addPosStub(program, print);
  addMcp(program, config, printError);
  addOperations(program, deps);
  for (const command of program.commands) command.exitOverride();
  return program;
}

export { CommanderError, FailedError };
