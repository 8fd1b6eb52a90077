import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openEmbeddedSearchAdmin, openEmbeddedSearchReader } from '../src/index.ts';
import { describeSearchContract } from '../src/testing.ts';

describeSearchContract('embedded', { suggestions: true }, async () => {
  const directory = await mkdtemp(join(tmpdir(), 'millrace-search-'));
  const admin = openEmbeddedSearchAdmin({ directory });
  return {
    admin,
    openReader: () => openEmbeddedSearchReader({ directory, timeoutMs: 10_000 }),
    async close() {
      await admin.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
});
