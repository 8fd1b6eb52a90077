/** Rejects with what `late` makes where the work takes longer; the work goes on. */
export async function within<T>(timeoutMs: number, work: Promise<T>, late: () => Error): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(late()), timeoutMs);
  return await Promise.race([work, promise]).finally(() => clearTimeout(timer));
}
