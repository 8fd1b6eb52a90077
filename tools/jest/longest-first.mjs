// Workers end together only when the long files come first, and a fresh machine has no record of how long they took.
import TestSequencer from '@jest/test-sequencer';

/** Files that start whole planes, then those that use servers, then the rest. */
const kind = ({ path }) => (/\.e2e\.test\.ts$|\/bundle\.test\.ts$/.test(path) ? 0 : /\.(int|contract)\.test\.ts$/.test(path) ? 1 : 2);

/** For more workers than planes can run at once: these begin one after the other within the first two thirds, each beside files that leave the machine to it. */
function spread(planes, others) {
  const apart = Math.max(1, Math.floor((others.length * 2) / 3 / Math.max(1, planes.length)));
  return [...planes.flatMap((plane, at) => [plane, ...others.slice(at * apart, (at + 1) * apart)]), ...others.slice(planes.length * apart)];
}

export default class LongestFirst extends TestSequencer {
  #workers;

  constructor(options) {
    super(options);
    this.#workers = options.globalConfig.maxWorkers;
  }

  /** Jest's own order (durations of the last run, else the size of files) within each kind. */
  sort(tests) {
    // oxlint-disable-next-line unicorn/no-array-sort -- Jest's method of that name
    const sorted = super.sort(tests).toSorted((a, b) => kind(a) - kind(b));
    return this.#workers <= 2 ? sorted : spread(sorted.filter((test) => kind(test) === 0), sorted.filter((test) => kind(test) !== 0));
  }
}
