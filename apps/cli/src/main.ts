import { run } from './run.ts';

process.exitCode = await run(process.argv, process.env, {
  print: (line) => void process.stdout.write(`${line}\n`),
  printError: (line) => void process.stderr.write(`${line}\n`),
});
