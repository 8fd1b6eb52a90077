import { runExperiment } from '../local/experiments.ts';

/** npm run chaos -- NAME [--json FILE] */
export const run = (args: readonly string[]): Promise<number> => runExperiment('chaos', args);
