import { serverVariables, testServer } from '@millrace/testing';

const redis8 = process.env[serverVariables['redis-8']];

/** What the suites of this folder run on: one Redis of the oldest version that is supported, and Redis 8 where there is one. */
export const servers: readonly { readonly name: string; readonly address: string }[] = [
  { name: 'one Redis', address: testServer('redis') },
  ...(redis8 === undefined || redis8 === '' ? [] : [{ name: 'Redis 8', address: redis8 }]),
];
