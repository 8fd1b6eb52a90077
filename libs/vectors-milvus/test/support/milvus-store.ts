import { testServer, uniqueName } from '@millrace/testing';
import type { VectorAdmin, VectorReader } from '@millrace/vectors';
import type { VectorStoreUnderTest } from '@millrace/vectors/testing';
import { MilvusClient } from '@zilliz/milvus2-sdk-node';
import { openMilvusVectorAdmin, openMilvusVectorReader } from '../../src/index.ts';
import type { MilvusOptions } from '../../src/index.ts';

export const milvusOptions = (): MilvusOptions => ({ address: testServer('milvus'), alias: uniqueName('vectors').replaceAll(/\W/g, '_'), lockUrl: testServer('redis'), timeoutMs: 10_000 });

/** A store of its own on the given server. */
export async function milvusStore(): Promise<VectorStoreUnderTest> {
  const options = milvusOptions();
  const opened: (VectorAdmin | VectorReader)[] = [];
  const keep = async <T extends VectorAdmin | VectorReader>(opening: Promise<T>): Promise<T> => {
    const one = await opening;
    opened.push(one);
    return one;
  };
  return {
    openAdmin: () => keep(openMilvusVectorAdmin(options)),
    openReader: () => keep(openMilvusVectorReader(options)),
    async destroy() {
      for (const one of opened) await one.close();
      const client = new MilvusClient({ address: options.address, __SKIP_CONNECT__: true, logLevel: 'silent' });
      await client.dropAlias({ alias: options.alias });
      for (const { name } of (await client.showCollections()).data) if (name.startsWith(`${options.alias}_`)) await client.dropCollection({ collection_name: name });
      await client.closeConnection();
    },
  };
}
