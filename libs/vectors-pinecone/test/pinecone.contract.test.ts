import { testServer } from '@millrace/testing';
import type { VectorAdmin } from '@millrace/vectors';
import { describeVectorContract, type VectorStoreUnderTest } from '@millrace/vectors/testing';
import { openPineconeVectorAdmin, openPineconeVectorReader, pineconeFeatures } from '../src/index.ts';
import { startPineconeStub } from '../src/testing.ts';

/** An index of its own on a stub of the service: not the service itself. Looks up which collection is live at each call. */
async function stubbedStore(): Promise<VectorStoreUnderTest> {
  const stub = await startPineconeStub({ dimension: 24, apiKey: 'pc-test' });
  const options = { apiKey: 'pc-test', host: stub.host, namespace: 'products', lockUrl: testServer('redis'), liveTtlMs: 0 };
  const opened: VectorAdmin[] = [];
  return {
    openAdmin: async () => {
      const admin = await openPineconeVectorAdmin(options);
      opened.push(admin);
      return admin;
    },
    openReader: () => openPineconeVectorReader(options),
    async destroy() {
      for (const admin of opened) await admin.close();
      await stub.stop();
    },
  };
}

describeVectorContract('pinecone (a stub of its wire)', { ...pineconeFeatures, products: 1_000 }, stubbedStore);
