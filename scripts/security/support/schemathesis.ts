import { spawn, spawnSync } from 'node:child_process';
import { existsSync, globSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { stateDir } from '../../local/paths.ts';

const VERSION = '4.32.5';

/** Not a dependency of the project: a tool in Python, in an environment of its own. SCHEMATHESIS_BIN, else .local/schemathesis, else the one on the PATH. */
export function findSchemathesis(): string {
  const own = join(stateDir(), 'schemathesis', 'bin', 'schemathesis');
  for (const candidate of [process.env['SCHEMATHESIS_BIN'], existsSync(own) ? own : undefined, 'schemathesis'])
    if (candidate !== undefined && spawnSync(candidate, ['--version'], { stdio: 'ignore' }).status === 0) return candidate;
  const folder = join(stateDir(), 'schemathesis');
  throw new Error(`schemathesis is not there, so nothing was tested. It needs Python 3.10 or newer:\n  python3 -m venv ${folder} && ${folder}/bin/pip install schemathesis==${VERSION}\nor name another one in SCHEMATHESIS_BIN`);
}

const reportSchema = z.object({
  running_time: z.number(),
  complete: z.boolean(),
  operations: z.object({ total: z.int(), tested: z.int(), errored: z.int() }),
  test_cases: z.object({ generated: z.int(), unique_failures: z.int(), errored: z.int() }),
  failures: z.array(z.looseObject({ title: z.string(), count: z.int(), operations: z.array(z.unknown()) })),
});
export type FuzzReport = z.output<typeof reportSchema>;

/** Refusals that are right for bad input; 431 is a parameter that is too long. */
const CONFIG = `[checks]
negative_data_rejection.expected-statuses = ["400", "401", "403", "404", "405", "406", "408", "409", "410", "412", "413", "415", "422", "428", "429", "431"]
`;

/** Runs it to its end; what it says comes on our own output. `folder` holds its report. */
export async function runSchemathesis(binary: string, args: readonly string[], folder: string): Promise<FuzzReport> {
  const config = join(folder, 'schemathesis.toml');
  writeFileSync(config, CONFIG);
  const child = spawn(binary, ['--config-file', config, 'run', ...args, '--report', 'json', '--report-dir', folder], { cwd: folder, stdio: ['ignore', 'inherit', 'inherit'] });
  const code = await new Promise<number | null>((done, failed) => {
    child.once('error', failed);
    child.once('exit', done);
  });
  const [file] = globSync(join(folder, 'json-*.json'));
  if (file === undefined) throw new Error(`schemathesis ended with ${code} and without a report`);
  return reportSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
}
