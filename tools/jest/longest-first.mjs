// Workers end together only when the long files come first, and a fresh machine has no record of how long they took.
import TestSequencer from '@jest/test-sequencer';

/** Files that use servers, then the rest. */
const kind = ({ path }) => (/\.(int|contract|e2e)\.test\.ts$/.test(path) ? 0 : 1);

export default class LongestFirst extends TestSequencer {
  /** Jest's own order (durations of the last run, else the size of files) within each kind. */
  sort(tests) {
    // oxlint-disable-next-line unicorn/no-array-sort -- Jest's method of that name
    return super.sort(tests).toSorted((a, b) => kind(a) - kind(b));
  }
}
