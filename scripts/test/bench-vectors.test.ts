import { describe, expect, it } from '@jest/globals';
import { storeKinds } from '../bench/vectors/stores.ts';

const redis = 'redis://127.0.0.1:6379';

describe('the stores that the benchmark of vectors measures', () => {
  it.each([
    { name: 'no server', env: {}, measured: ['embedded'], absent: ['milvus', 'pinecone', 'qdrant', 'redis'] },
    { name: 'the test servers', env: { TEST_REDIS_URL: redis }, measured: ['embedded', 'pinecone (a stub)'], absent: ['milvus', 'qdrant', 'redis'] },
    { name: 'Milvus without a Redis for its lease', env: { TEST_MILVUS_ADDRESS: 'localhost:19530' }, measured: ['embedded'], absent: ['milvus', 'pinecone', 'qdrant', 'redis'] },
    { name: 'all', env: { TEST_REDIS_STACK_URL: redis, TEST_QDRANT_URL: 'http://localhost:6333', TEST_MILVUS_ADDRESS: 'localhost:19530' }, measured: ['embedded', 'redis', 'qdrant', 'milvus', 'pinecone (a stub)'], absent: [] },
  ])('are all five, measured or named with the reason, with $name', ({ env, measured, absent }) => {
    const found = storeKinds(env);
    expect(found.kinds.map(({ name }) => name)).toEqual(measured);
    expect(Object.keys(found.absent).toSorted()).toEqual(absent);
    for (const reason of Object.values(found.absent)) expect(reason).toMatch(/TEST_/);
  });
});
