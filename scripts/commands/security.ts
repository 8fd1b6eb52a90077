import { runExperiment } from '../local/experiments.ts';

/** npm run security -- NAME [--json FILE] */
export const run = (args: readonly string[]): Promise<number> => runExperiment('security', args);
