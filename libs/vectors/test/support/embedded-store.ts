import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openEmbeddedVectorAdmin, openEmbeddedVectorReader, type VectorAdmin, type VectorReader } from '../../src/index.ts';
import type { VectorStoreUnderTest } from '../../src/testing.ts';

/** A store in a new folder; the folder goes with it. */
export async function embeddedStore(): Promise<VectorStoreUnderTest & { readonly directory: string }> {
  const directory = mkdtempSync(join(tmpdir(), 'vectors-'));
  const opened: (VectorAdmin | VectorReader)[] = [];
  const track = <T extends VectorAdmin | VectorReader>(handle: T): T => {
    opened.push(handle);
    return handle;
  };
  return {
    directory,
    openAdmin: async () => track(await openEmbeddedVectorAdmin({ directory })),
    openReader: async () => track(await openEmbeddedVectorReader({ directory, queryTimeoutMs: 10_000 })),
    async destroy() {
      for (const handle of opened) await handle.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
