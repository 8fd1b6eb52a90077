import { describeWith, testServer, uniqueName } from '@millrace/testing';
import { QdrantClient } from '@qdrant/js-client-rest';
import { openQdrantVectorAdmin, openQdrantVectorReader, qdrantFeatures } from '../src/index.ts';
import { describeVectorContract, type VectorStoreUnderTest } from '../src/testing.ts';

async function qdrantStore(): Promise<VectorStoreUnderTest> {
  const options = { url: testServer('qdrant'), alias: uniqueName('vectors') };
  return {
    openAdmin: () => openQdrantVectorAdmin(options),
    openReader: () => openQdrantVectorReader({ ...options, timeoutMs: 10_000 }),
    async destroy() {
      const client = new QdrantClient({ url: options.url, checkCompatibility: false });
      const { collections } = await client.getCollections();
      for (const { name } of collections) if (name.startsWith(`${options.alias}-`)) await client.deleteCollection(name);
    },
  };
}

describeWith('qdrant', 'a Qdrant server', () => {
  describeVectorContract('qdrant', { ...qdrantFeatures, products: process.env['TEST_SCALE'] === 'full' ? 10_000 : 1_000 }, qdrantStore);
});
