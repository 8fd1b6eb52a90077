/** Rejects with `late()` where the work takes longer. A process that was busy so long reads what has arrived meanwhile first. */
export function within<T>(timeoutMs: number, work: Promise<T>, late: () => Error): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => setImmediate(() => setImmediate(() => reject(late()))), timeoutMs);
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
