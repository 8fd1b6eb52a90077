import { runExperiment } from '../local/experiments.ts';

/** npm run bench -- NAME [--json FILE] */
export const run = (args: readonly string[]): Promise<number> => runExperiment('bench', args);
