import { readFileSync } from 'node:fs';
import { expect, it } from '@jest/globals';
import { describeWith, testServer, uniqueName } from '@millrace/testing';
import { productSchema } from '@millrace/contracts';
import { indexDefinition } from '../src/elasticsearch/index-definition.ts';
import { openElasticsearchSearchAdmin, openElasticsearchSearchReader } from '../src/index.ts';
import { describeSearchContract } from '../src/testing.ts';

describeWith('elasticsearch', 'elasticsearch', () => {
  describeSearchContract('elasticsearch', { suggestions: true }, async () => {
    const options = { node: testServer('elasticsearch'), alias: uniqueName('search').replaceAll('_', '-') };
    const admin = openElasticsearchSearchAdmin({ ...options, refreshIntervalMs: 20 });
    return {
      admin,
      openReader: () => openElasticsearchSearchReader({ ...options, timeoutMs: 10_000 }),
      async close() {
        await admin.dropAll();
        await admin.close();
      },
    };
  });
});

it('creates indexes as infra/elasticsearch/products-index.json says', () => {
  const file = new URL('../../../infra/elasticsearch/products-index.json', import.meta.url);
  expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(JSON.parse(JSON.stringify(indexDefinition())));
});

it('maps every field of a product, because the mapping is strict', () => {
  expect(Object.keys(indexDefinition().mappings?.properties ?? {})).toEqual(expect.arrayContaining(Object.keys(productSchema.shape)));
});
