// Workers end together only when the long files come first, and a fresh machine has no record of how long they took.
import TestSequencer from '@jest/test-sequencer';

/** Files that start whole planes, then those that use servers, then the rest. */
const kind = ({ path }) => (/\.e2e\.test\.ts$|\/bundle\.test\.ts$/.test(path) ? 0 : /\.(int|contract)\.test\.ts$/.test(path) ? 1 : 2);

export default class LongestFirst extends TestSequencer {
  /** Jest's own order (durations of the last run, else the size of files) within each kind. */
  sort(tests) {
    // oxlint-disable-next-line unicorn/no-array-sort -- Jest's method of that name
    return super.sort(tests).toSorted((a, b) => kind(a) - kind(b));
  }
}
