import { masterNodes, scanKeys, sendByNode } from '@millrace/redis-kit';
import type { Keys, Redis } from '@millrace/redis-kit';

/** Unlinks every key of a generation, page by page, so that the server is never busy with it for long. Returns how many there were. */
export async function removeGeneration(redis: Redis, keys: Keys, generation: number): Promise<number> {
  let removed = 0;
  for await (const page of scanKeys(masterNodes(redis), keys.subscribers(generation).pattern)) {
    await sendByNode(redis, page.map((key) => ({ key, name: 'UNLINK', args: [key] })));
    removed += page.length;
  }
  return removed;
}
