import { describeWith } from '@millrace/testing';
import { redisFeatures } from '../src/index.ts';
import { describeVectorContract } from '../src/testing.ts';
import { redisStore } from './support/redis-store.ts';

describeWith('redis-stack', 'Redis with its search module', () => {
  describeVectorContract('redis', { ...redisFeatures, products: process.env['TEST_SCALE'] === 'full' ? 10_000 : 1_000 }, () => redisStore());
});
