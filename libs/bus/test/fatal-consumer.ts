// A consumer that event 7 kills, before or after its effect; started by redis-groups.int.test.ts as a process of its own: URL TOPIC before|after.
import { setTimeout as delay } from 'node:timers/promises';
import { connectRedis } from '@millrace/redis-kit';
import { z } from 'zod';
import { createRedisStreamsBus, defineTopic } from '../src/index.ts';

const [url = '', name = '', moment = 'before'] = process.argv.slice(2);
const die = (): never => process.kill(process.pid, 'SIGKILL') as never;
const topic = defineTopic(name, { created: z.object({ key: z.string(), n: z.int() }) }, { schemaVersion: 1, keyOf: (event) => event.key });
const redis = connectRedis(url, { role: 'background', name: 'fatal consumer' });
const bus = createRedisStreamsBus({ connect: (role) => connectRedis(url, { role, name: 'fatal consumer' }), consumer: 'fatal' });

await bus.subscribe(topic, { group: 'g' }, async (events) => {
  const isFatal = events.some(({ n }) => n === 7);
  if (isFatal && moment === 'before') die();
  // Guarded by the event's id: an effect that is there already is not made again.
  for (const { n, meta } of events) if ((await redis.sadd(`${name}:ids`, meta.id)) === 1) await redis.hincrby(`${name}:effects`, String(n), 1);
  await redis.incr(`${name}:handlings`);
  if (isFatal && moment === 'after' && (await redis.incr(`${name}:deaths`)) === 1) die();
});
// Ends by itself once everything is dealt with.
while ((await bus.lag(topic, 'g')).messages > 0) await delay(20);
process.exit(0);
