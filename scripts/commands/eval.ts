import { runExperiment } from '../local/experiments.ts';

/** npm run eval -- NAME [--json FILE] */
export const run = (args: readonly string[]): Promise<number> => runExperiment('eval', args);
