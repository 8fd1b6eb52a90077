// npm run chaos -- bus: consumers of a group (and Redis) die by kill -9 while an outbox is carried to them; at the end each committed change must
// have exactly one effect. --ordering key looks at the order of each key instead, without kills of Redis. Prints the seed: the same seed
// chooses the same victims and moments (in messages, not in milliseconds).
import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '@millrace/testing/eventually';
import { median, percentile, row } from '../bench/support/measure.ts';
import type { BenchRow } from '../bench/support/measure.ts';
import { FORGET_MS, GROUP } from './bus/consumer-settings.ts';
import type { Killed } from './bus/crew.ts';
import { describeStanding } from './bus/diagnosis.ts';
import { parsePlan, points, scattered, spread } from './bus/plan.ts';
import type { Plan } from './bus/plan.ts';
import { consumerRecoveries, momentsInFlow, redisRecoveries } from './bus/recovery.ts';
import type { RedisKilled } from './bus/recovery.ts';
import { heldBy, isFinished, killServer, readDeadLetters, readLeftovers, readWritten } from './bus/redis.ts';
import type { Held } from './bus/redis.ts';
import { openScene } from './bus/scene.ts';
import type { LogLine, Scene } from './bus/scene.ts';
import { createRandom, pick } from './support/random.ts';

const DRAIN_MS = 120_000;
/** Without effects of new changes for so long the run has failed. */
const STALL_MS = 30_000;

/** What was seen of the killed consumers' entries. */
interface Watched {
  held: number;
  mostDeliveries: number;
  /** From the kill until the group had acknowledged what the consumer held; not where Redis was killed meanwhile. */
  readonly finishedMs: number[];
}

const reached = async ({ writing }: Scene, messages: number): Promise<void> => {
  while (writing.written() < messages && writing.endedAt() === undefined) await delay(5);
};

/** Kills consumers one after the other, each after its number of messages, and starts them again at once. */
async function killConsumers(scene: Scene, plan: Plan, redisKills: readonly RedisKilled[]): Promise<{ readonly kills: readonly Killed[]; readonly watched: Watched }> {
  const random = createRandom(plan.seed);
  const kills: Killed[] = [];
  const watched: Watched = { held: 0, mostDeliveries: 0, finishedMs: [] };
  const watching: Promise<void>[] = [];
  for (const messages of scattered(random, plan.kills, plan.messages)) {
    const point = pick(random, points) ?? 'anywhere';
    const choice = random();
    await reached(scene, messages);
    const alive = await eventually(() => (scene.crew.subscribed().length > 0 ? scene.crew.subscribed() : undefined), { timeoutMs: 30_000 });
    await delay(random() * 100);
    const killed = await scene.crew.kill(pick(() => choice, alive) ?? 'consumer-1', point);
    kills.push(killed);
    const held = await heldBy(scene.redis, scene.topic.name, killed.consumer).catch(() => undefined);
    scene.crew.start(killed.consumer);
    if (held) watching.push(watch(scene, { held, killed, watched, redisKills }));
    if (kills.length % 10 === 0) console.error(`${kills.length} of ${plan.kills} consumers killed, ${redisKills.length} times Redis; ${scene.writing.written()} changes written`);
  }
  await Promise.all(watching);
  return { kills, watched };
}

interface ToWatch {
  readonly held: Held;
  readonly killed: Killed;
  readonly watched: Watched;
  readonly redisKills: readonly RedisKilled[];
}

async function watch({ redis }: Scene, { held, killed, watched, redisKills }: ToWatch): Promise<void> {
  watched.held += held.entries;
  watched.mostDeliveries = Math.max(watched.mostDeliveries, held.mostDeliveries);
  if (held.entries === 0) return;
  const before = redisKills.length;
  const isOver = await eventually(() => isFinished(redis, held), { timeoutMs: 60_000, everyMs: 20 }).catch(() => false);
  if (isOver && redisKills.length === before) watched.finishedMs.push(Date.now() - killed.at);
}

/** Until there is an effect of a change behind that one. */
async function flows({ truth, redis, topic }: Scene, lastNumber: number): Promise<void> {
  await eventually(async () => truth.hasEffectBehind(lastNumber), { timeoutMs: STALL_MS, everyMs: 20 }).catch(async (error: unknown) => {
    console.error(await describeStanding(redis, truth, topic.name));
    throw error;
  });
}

/** Kills Redis, every other time so that what it wrote in up to the last second is lost, and waits until effects flow again. */
async function killRedis(scene: Scene, plan: Plan, kills: RedisKilled[]): Promise<void> {
  const random = createRandom(plan.seed + 1);
  for (const [index, messages] of spread(random, plan.redisKills, plan.messages).entries()) {
    const lostMs = random() * 1_000;
    await reached(scene, messages);
    await flows(scene, await scene.truth.lastNumber());
    const isPowerLoss = index % 2 === 1;
    const kept = isPowerLoss ? await readWritten(scene.server) : undefined;
    if (isPowerLoss) await delay(lostMs);
    const lastNumber = await scene.truth.lastNumber();
    kills.push({ at: await killServer(scene.server, kept), lastNumber, isPowerLoss });
    await flows(scene, lastNumber);
  }
}

/** Until every change has its effect and the group nothing left, or it is clear that this will not come. */
async function drain({ writing, truth, bus, topic }: Scene): Promise<void> {
  await writing.done;
  console.error(`all written: ${writing.written()}; waiting for the effects`);
  const isDrained = async (): Promise<boolean> => {
    const { lost, waiting } = await truth.compare();
    return lost === 0 && waiting === 0 && (await bus.lag(topic, GROUP)).messages === 0;
  };
  await eventually(isDrained, { timeoutMs: DRAIN_MS, everyMs: 200 }).catch(() => undefined);
  // What would come twice, or too much, has to have come, and the consumers to have tidied up.
  await delay(FORGET_MS + 2_000);
}

const sumOf = (lines: readonly LogLine[], message: string, of: (line: LogLine) => number = () => 1): number => lines.filter((line) => line.message === message).reduce((sum, line) => sum + of(line), 0);

async function outcome(scene: Scene, plan: Plan): Promise<BenchRow[]> {
  const { truth, bus, redis, topic, writing, crew } = scene;
  const [seen, lag, left] = [await truth.compare(), await bus.lag(topic, GROUP), await readLeftovers(redis, topic.name)];
  for (const letter of await readDeadLetters(redis, topic.name)) console.error(`dead letter ${letter}`);
  const none = { unit: 'changes', atMost: 0 };
  return [
    row('changes committed', seen.changes, { unit: 'changes', atLeast: plan.messages }),
    row('changes rolled back', writing.rolledBack(), { unit: 'changes' }),
    row('changes without an effect', seen.lost, none),
    row('effects beyond the first of a change', seen.repeated, none),
    row('effects of changes that were rolled back', seen.invented, none),
    ...(plan.ordering === 'key' ? [row('effects after one of a later change of their key', seen.outOfOrder, none)] : []),
    row('deliveries that onceByEventId held off', seen.heldOff, { unit: 'events' }),
    row('entries unread or unacknowledged at the end', lag.messages, { unit: 'entries', atMost: 0 }),
    row('entries put off at the end', left.putOff, { unit: 'entries', atMost: 0 }),
    row('notes of single handlings at the end', left.attempts, { unit: 'entries', atMost: 0 }),
    row('dead letters', left.deadLetters, { unit: 'entries', atMost: 0 }),
    row('rows left in the outbox', seen.waiting, { unit: 'rows', atMost: 0 }),
    row('consumers that the group knows', left.consumers, { unit: 'of a partition', atMost: 4 }),
    row('consumers that ended by themselves', crew.crashes(), { unit: 'times', atMost: 0 }),
  ];
}

const times = (operation: string, ms: readonly number[]): BenchRow[] =>
  ms.length === 0 ? [] : [row(`${operation}, p50`, median(ms), { unit: 'ms' }), row(`${operation}, p99`, percentile(ms, 0.99), { unit: 'ms' })];

interface Kills {
  readonly kills: readonly Killed[];
  readonly watched: Watched;
  readonly redisKills: readonly RedisKilled[];
}

async function deathsOfConsumers({ truth, writing, log }: Scene, plan: Plan, { kills, watched }: Kills): Promise<BenchRow[]> {
  const endedAt = writing.endedAt() ?? 0;
  const moments = kills.map(({ at }) => at);
  return [
    ...points.map((point) => row(`kill -9 of a consumer, ${point}`, kills.filter((kill) => kill.point === point).length, { unit: 'times' })),
    row('kills of consumers while changes were written', moments.filter((at) => at < endedAt).length, { unit: `of ${plan.kills}`, atLeast: plan.kills }),
    row('kills of consumers with effects in the second before', await momentsInFlow(truth, moments), { unit: `of ${plan.kills}` }),
    row('entries that killed consumers held', watched.held, { unit: 'entries' }),
    row('most deliveries of one of them', watched.mostDeliveries, { unit: 'of 5' }),
    // A leased partition is adopted as a whole, which nobody counts.
    ...(plan.ordering === 'none' && plan.partitions === 1 ? [row('entries taken over by another consumer', sumOf(log(), 'entries reclaimed', ({ entries = 0 }) => entries), { unit: 'entries' })] : []),
    ...times('from the kill of a consumer to its next effect', await consumerRecoveries(truth, kills)),
    ...times('from the kill of a consumer until what it held was done', watched.finishedMs),
  ];
}

async function deathsOfRedis({ truth, writing, log }: Scene, { redisKills }: Kills): Promise<BenchRow[]> {
  const lines = log();
  const endedAt = writing.endedAt() ?? 0;
  const moments = redisKills.map(({ at }) => at);
  const of = { unit: `of ${moments.length}`, atLeast: moments.length };
  if (moments.length === 0) return [];
  return [
    row('kill -9 of Redis', redisKills.filter(({ isPowerLoss }) => !isPowerLoss).length, { unit: 'times' }),
    row('kill -9 of Redis and its last second lost', redisKills.filter(({ isPowerLoss }) => isPowerLoss).length, { unit: 'times' }),
    row('kills of Redis while changes were written', moments.filter((at) => at < endedAt).length, of),
    row('kills of Redis with effects in the second before', await momentsInFlow(truth, moments), of),
    row('times that the relay found entries lost', sumOf(lines, 'stream has lost entries: publishing them again'), { unit: 'times' }),
    row('events that it published again', sumOf(lines, 'stream is complete again', ({ events = 0 }) => events), { unit: 'events' }),
    ...times('from the kill of Redis to the effect of a later change', await redisRecoveries(truth, redisKills)),
  ];
}

/** What the processes said that nobody expects, each once. */
function report(lines: readonly LogLine[]): void {
  const counts = new Map<string, number>();
  for (const { level, message } of lines) counts.set(`${level}: ${message}`, (counts.get(`${level}: ${message}`) ?? 0) + 1);
  for (const [text, count] of [...counts].toSorted((a, b) => b[1] - a[1]).slice(0, 25)) console.error(`${count} x ${text}`);
}

export async function run(args: readonly string[]): Promise<BenchRow[]> {
  const plan = parsePlan(args);
  console.error(`seed ${plan.seed}: ${plan.messages} changes at ${Math.round(plan.rate)}/s, ${plan.kills} kills of consumers, ${plan.redisKills} of Redis, ordering ${plan.ordering}, ${plan.partitions} partitions`);
  const scene = await openScene(plan, `chaos_${process.pid}_${plan.seed}`);
  let rows: BenchRow[] = [];
  try {
    const redisKills: RedisKilled[] = [];
    const [consumers] = await Promise.all([killConsumers(scene, plan, redisKills), killRedis(scene, plan, redisKills)]);
    await drain(scene);
    const kills = { ...consumers, redisKills };
    rows = [...(await outcome(scene, plan)), ...(await deathsOfConsumers(scene, plan, kills)), ...(await deathsOfRedis(scene, kills))];
    report(scene.log());
    return rows;
  } finally {
    const keepLog = rows.length === 0 || rows.some(({ met }) => met === false);
    if (keepLog) console.error(`the log stays in ${scene.logFile}`);
    await scene.close({ keepLog });
  }
}
