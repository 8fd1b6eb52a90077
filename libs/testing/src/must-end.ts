import { runInNewContext } from 'node:vm';

/**
 * Runs synchronous work, and throws where it has not ended after 20 s. No measure of speed: for work on an input so large that it ends within a
 * second or two, and would take hours if it grew with the input's square. Jest's timeout cannot stop such work; this does, regular expressions too.
 */
export const mustEnd = (work: () => void): void => void runInNewContext('work()', { work }, { timeout: 20_000 });
