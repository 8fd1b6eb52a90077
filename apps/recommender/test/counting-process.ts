// Counts until it is killed; started by kill.int.test.ts as a process of its own: URL PREFIX PARTITIONS.
import { connectRedis } from '@millrace/redis-kit';
import { keysOfTest, openCounting } from './counts-kit.ts';

const [url = '', prefix = '', partitions = '1'] = process.argv.slice(2);
const redis = connectRedis(url, { role: 'background', name: 'counting process' });
await openCounting(url, { redis, keys: keysOfTest(url, prefix), partitions: Number(partitions), batchSize: 8 }).start();
