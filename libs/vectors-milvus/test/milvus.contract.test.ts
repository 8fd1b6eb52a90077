import { describeWith } from '@millrace/testing';
import { describeVectorContract } from '@millrace/vectors/testing';
import { milvusFeatures } from '../src/index.ts';
import { milvusStore } from './support/milvus-store.ts';

describeWith('milvus', 'a Milvus server', () => {
  // Milvus Lite scans in Python: 10,000 products would take it a second a search.
  describeVectorContract('milvus', { ...milvusFeatures, products: 1_000 }, milvusStore);
});
