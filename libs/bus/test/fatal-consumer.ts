// A consumer that event 7 kills; started by redis-groups.int.test.ts as a process of its own: URL TOPIC.
import { setTimeout as delay } from 'node:timers/promises';
import { connectRedis } from '@millrace/redis-kit';
import { z } from 'zod';
import { createRedisStreamsBus, defineTopic } from '../src/index.ts';

const [url = '', name = ''] = process.argv.slice(2);
const topic = defineTopic(name, { created: z.object({ key: z.string(), n: z.int() }) }, { schemaVersion: 1, keyOf: (event) => event.key });
const redis = connectRedis(url, { role: 'background', name: 'fatal consumer' });
const bus = createRedisStreamsBus({ connect: (role) => connectRedis(url, { role, name: 'fatal consumer' }), consumer: 'fatal' });

await bus.subscribe(topic, { group: 'g' }, async (events) => {
  if (events.some(({ n }) => n === 7)) process.kill(process.pid, 'SIGKILL');
  for (const { n } of events) await redis.sadd(`${name}:handled`, n);
});
// Ends by itself once everything is dealt with.
while ((await bus.lag(topic, 'g')).messages > 0) await delay(20);
process.exit(0);
