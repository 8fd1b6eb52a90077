/** Redis' words for a stream, or a group of it, that is not there. */
const isGone = (error: unknown): boolean => error instanceof Error && /^(ERR no such key|NOGROUP)/.test(error.message);
const TRIES = 5;

/** For reads of a stream in several steps: looks again where it, or a group of it, went between two of them, as old partitions do. `read` must look first whether the stream is there. */
export async function whileThere<T>(read: () => Promise<T>): Promise<T> {
  for (let tried = 1; ; tried += 1) {
    try {
      return await read();
    } catch (error) {
      if (!isGone(error) || tried >= TRIES) throw error;
    }
  }
}
