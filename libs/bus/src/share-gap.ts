/**
 * One handling serves all gaps that were found before it began, on every partition of a subscription: never two at once, and at most one waits, so that
 * a topic of eight partitions does not have an export read eight times at the same time. `handle` must not reject.
 */
export function shareGap(handle: () => Promise<void>): () => Promise<void> {
  let last = Promise.resolve();
  let waiting: Promise<void> | undefined;
  const start = async (): Promise<void> => {
    waiting = undefined;
    await handle();
  };
  // One that runs may have read before this gap was there: the next one is for it.
  return () => (waiting ??= last = last.then(start));
}
