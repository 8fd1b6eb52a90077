import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream, createWriteStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { connect } from 'node:net';
import { finished } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { encodeCommand, keysFor, masterNodes, scanKeys } from '@millrace/redis-kit';
import type { Redis } from '@millrace/redis-kit';
import type { Pointer } from '@millrace/subscribers';
import { z } from 'zod';
import { alternate, median, msOf, row } from '../support/measure.ts';
import type { BenchRow } from '../support/measure.ts';

const MB = 1_000_000;
const PAIRS = 3;
const INDEX_MEMBERS = 500;

/** What `HGETALL`, `GET` and the like answered, as the commands that write it. */
function commandsOf(key: string, value: unknown): string[][] {
  if (!Array.isArray(value)) return [['SET', key, String(value)]];
  const parts = value.map(String);
  if (!key.includes(':idx:')) return [['HSET', key, ...parts]];
  const isSorted = key.includes(':idx:service:');
  const size = isSorted ? 2 * INDEX_MEMBERS : INDEX_MEMBERS;
  // A reply has the score behind the member, a command before it.
  const members = isSorted ? parts.map((_part, at) => parts[at % 2 === 0 ? at + 1 : at - 1] ?? '') : parts;
  return Array.from({ length: Math.ceil(members.length / size) }, (_none, at) => [isSorted ? 'ZADD' : 'SADD', key, ...members.slice(at * size, (at + 1) * size)]);
}

const question = (key: string): [string, string[]] =>
  key.includes(':body:') ? ['GET', [key]] : key.includes(':idx:service:') ? ['ZRANGE', [key, '0', '-1', 'WITHSCORES']] : key.includes(':idx:') ? ['SMEMBERS', [key]] : ['HGETALL', [key]];

/** The commands of a generation as they go over the wire, indexes too, into a file. */
async function dumpCommands(redis: Redis, pattern: string, path: string): Promise<number> {
  const file = createWriteStream(path);
  for await (const page of scanKeys(masterNodes(redis), pattern)) {
    const pipeline = redis.pipeline();
    // As an array in any case: ioredis makes an object of a hash.
    for (const key of page) pipeline.call(...question(key));
    const replies = (await pipeline.exec()) ?? [];
    const text = page.flatMap((key, at) => commandsOf(key, toArray(replies[at]?.[1])).map((command) => encodeCommand(command)));
    if (!file.write(text.join(''))) await once(file, 'drain');
  }
  file.end();
  await finished(file);
  return (await stat(path)).size;
}

const toArray = (value: unknown): unknown => (typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.entries(value).flat() : value);

/** As redis-cli --pipe does it: the file into one socket, then an ECHO that comes back behind all replies. */
async function pipeFile(url: string, path: string): Promise<void> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port) });
  const done = Promise.withResolvers<void>();
  let tail = '';
  socket.on('data', (data: Buffer) => {
    tail = (tail + data.subarray(-64).toString('latin1')).slice(-64);
    if (tail.includes('the-end')) done.resolve();
  });
  for await (const chunk of createReadStream(path, { highWaterMark: 262_144 })) if (!socket.write(chunk)) await new Promise<void>((resolve) => void socket.once('drain', () => resolve()));
  socket.write('*2\r\n$4\r\nECHO\r\n$7\r\nthe-end\r\n');
  await done.promise;
  socket.destroy();
}

const writtenSchema = z.object({ ms: z.number(), cpuMs: z.number() });

export interface GenerationBench {
  readonly database: string;
  readonly redis: Redis;
  readonly redisUrl: string;
  readonly directory: string;
  readonly subscribers: number;
}

/** A generation of a loaded database into an empty Redis, beside the same commands out of a file into the same Redis, empty again. */
export async function benchGeneration(pointer: Pointer, { database, redis, redisUrl, directory, subscribers }: GenerationBench): Promise<BenchRow[]> {
  const cpu: number[] = [];
  const empty = (): Promise<unknown> => redis.flushall('SYNC');
  const ours = async (): Promise<number> => {
    await empty();
    const child = fork(fileURLToPath(new URL('write-generation.ts', import.meta.url)), [database, redisUrl, JSON.stringify(pointer), String(subscribers)], { execArgv: ['--max-semi-space-size=4'] });
    const exited = once(child, 'exit');
    const [message]: unknown[] = await Promise.race([once(child, 'message'), exited.then(() => { throw new Error('the generation was not written'); })]);
    await exited;
    const { ms, cpuMs } = writtenSchema.parse(message);
    cpu.push(cpuMs);
    return ms;
  };
  const path = `${directory}/commands`;
  await ours();
  const bytes = await dumpCommands(redis, keysFor(redisUrl).subscribers(pointer.redis).pattern, path);
  const piped = async (): Promise<number> => {
    await empty();
    return await msOf(() => pipeFile(redisUrl, path));
  };
  const { a, b, ratio } = await alternate(PAIRS, ours, piped);
  return [
    row(`Redis generation (${Math.round(bytes / MB)} MB of commands), read, encoded and written, beside the same commands out of a file`, median(a) / 1_000, { unit: 's', baseline: median(b) / 1_000, ratio, ratioAtMost: 1.5 }),
    row('processor time of the process that reads and encodes, for one subscriber', (median(cpu) * 1_000) / subscribers, { unit: 'µs' }),
  ];
}
