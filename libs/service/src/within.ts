/**
 * What the work resolves or rejects with; rejects with `late()` where it takes longer than `timeoutMs`. The work is not ended: what it comes to later,
 * a failure too, is dropped. A process that was itself busy so long first reads what has arrived meanwhile: an answer that is there is not late.
 */
export function within<T>(timeoutMs: number, work: Promise<T>, late: () => Error): Promise<T> {
  return new Promise((resolve, reject) => {
    // Two rounds of the event loop: one to read what has arrived, one for what follows from it.
    const timer = setTimeout(() => setImmediate(() => setImmediate(() => reject(late()))), timeoutMs);
    const ended = (): void => clearTimeout(timer);
    work.then(ended, ended);
    work.then(resolve, reject);
  });
}
