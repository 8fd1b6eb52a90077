import { afterAll, beforeEach, afterEach, describe, expect, it } from '@jest/globals';
import { createKysely, createPool } from '@millrace/database';
import { createTestDatabase, eventually } from '@millrace/testing';
import { sql } from 'kysely';
import { createRebuildJournal, createRebuildsTable } from '../src/index.ts';
import type { RebuildJob, RebuildJournal, Rebuilds } from '../src/index.ts';
import { createWorld, finished, startRunner } from './rebuild-kit.ts';
import type { RunnerOptions, World } from './rebuild-kit.ts';

const database = await createTestDatabase();
const pool = createPool({ url: database.url, name: 'test', max: 4 });
const db = createKysely<unknown>(pool);
await sql`create schema if not exists search`.execute(db);
await createRebuildsTable(db, 'search');
const journal: RebuildJournal = createRebuildJournal(db, 'search');
afterAll(async () => {
  await pool.end();
  await database.drop();
});

let world: World;
const running: Rebuilds[] = [];
const start = (options: Partial<RunnerOptions> = {}) => {
  const runner = startRunner(world, { journal, ...options });
  running.push(runner);
  return runner;
};
beforeEach(async () => {
  await sql`truncate search.rebuilds`.execute(db);
  world = createWorld();
});
afterEach(async () => {
  for (const runner of running.splice(0)) await runner.close();
});
const fillCatalogue = (count: number): void => {
  for (let n = 0; n < count; n += 1) world.write(`p${n}`, n + 1, n % 7 !== 0);
};
const ended = (id: number): Promise<RebuildJob> => eventually(async () => {
  const job = await journal.find(id);
  return job !== undefined && finished(job) && job;
});
/** A job that ran to its end. */
async function rebuilt(options: Partial<RunnerOptions> = {}): Promise<RebuildJob> {
  const runner = start(options);
  const { id } = await runner.request();
  const job = await ended(id);
  await runner.close();
  return job;
}

describe('a rebuild', () => {
  it('is begun by itself where there is no store, and is equal to the catalogue when it goes live', async () => {
    fillCatalogue(60);
    world.state.due = 'first';
    start();
    // It stays due here: the next one may have begun.
    const job = await eventually(async () => (await journal.list(10)).findLast(finished));
    expect([job.reason, job.phase, job.total, world.found()]).toEqual(['first', 'done', Object.keys(world.truth()).length, world.truth()]);
    expect(job.checks).toMatchObject([{ check: 'counts and versions', passed: true }, { check: 'golden queries', passed: true }]);
  });

  it('resumes wherever its process is killed, and ends equal to the catalogue', async () => {
    fillCatalogue(60);
    await rebuilt();
    let deaths = 0;
    for (let deathAt = 1; ; deathAt += 1) {
      const before = world.state.live;
      const reads = world.read.length;
      const mortal = start({ deathAt: deathAt + 1 });
      const { id } = await journal.add({ reason: 'manual' }) ?? { id: 0 };
      // By the plain journal: a look through the mortal one would be a step that it dies of.
      const isOver = async (): Promise<boolean> => {
        const job = await journal.find(id);
        return job !== undefined && finished(job);
      };
      await eventually(async () => mortal.isDead() || isOver());
      await mortal.close();
      const survived = await isOver();
      world.write(`while-dead-${deathAt}`, 1_000 + deathAt);
      if (!survived) {
        deaths += 1;
        if (world.state.live === before) await world.live(`while-dead-${deathAt}`, { version: 1_000 + deathAt, active: true });
        const next = start();
        const job = await ended(id);
        await next.close();
        expect([deathAt, job.phase, world.found()]).toEqual([deathAt, 'done', world.truth()]);
        // What was durable is not read again: at most the batch in hand and the one behind it.
        const first = world.read.slice(reads).filter(({ since }) => since === undefined);
        const total = first.reduce((sum, { rows }) => sum + rows, 0);
        if (first.length > 1 && first.at(-1)?.after !== undefined) expect(total).toBeLessThanOrEqual(world.rows.size + 30);
      }
      if (survived) break;
    }
    expect(deaths).toBeGreaterThan(20);
  });

  it('goes on in the same target behind what was durable', async () => {
    fillCatalogue(100);
    await rebuilt();
    const dying = start({ deathAt: 30 });
    const { id } = (await journal.add({ reason: 'manual' })) ?? { id: 0 };
    await eventually(() => dying.isDead());
    await dying.close();
    const left = await journal.find(id);
    expect(left?.checkpoint.after).toBeDefined();
    world.read.length = 0;
    start();
    const job = await ended(id);
    expect([job.target, world.read[0]?.after, (world.read[0]?.rows ?? 0) < 100]).toEqual([left?.target, left?.checkpoint.after, true]);
  });

  it('begins anew where the target is gone or of an older definition', async () => {
    fillCatalogue(100);
    await rebuilt();
    const dying = start({ deathAt: 30 });
    const { id } = (await journal.add({ reason: 'manual' })) ?? { id: 0 };
    await eventually(() => dying.isDead());
    await dying.close();
    const left = await journal.find(id);
    world.state.definition = 2;
    start();
    const job = await ended(id);
    expect([job.phase, job.target === left?.target, world.targets.has(left?.target ?? ''), world.found()]).toEqual(['done', false, false, world.truth()]);
  });

  it('ends what a runner that lost its lock still wants to save', async () => {
    const job = (await journal.add({ reason: 'manual' })) ?? undefined;
    if (!job) throw new Error('no job');
    const first = await journal.take(job.id);
    await journal.take(job.id);
    await expect(journal.save(first, { rows: 5 })).rejects.toThrow("is not this runner's any more");
  });

  it('brings in what changes while it is filled, deletes too', async () => {
    fillCatalogue(100);
    await rebuilt();
    let writes = 0;
    world.beforeRow.run = () => {
      if (writes++ < 50) world.write(`p${writes}`, 500 + writes, writes % 2 === 0);
    };
    await rebuilt();
    expect(world.found()).toEqual(world.truth());
  });

  it('does not go live where products differ: the live one goes on, and the job tells what differed', async () => {
    fillCatalogue(30);
    const { target } = await rebuilt();
    world.state.losing.add('p5');
    const failed = await rebuilt();
    expect([failed.phase, failed.error, world.state.live]).toEqual(['failed', expect.stringContaining('p5 missing'), target]);
    expect([...world.targets.keys()]).toEqual([target]);
  });

  it('does not go live where golden queries fail, unless it is forced', async () => {
    fillCatalogue(30);
    const { target } = await rebuilt();
    world.state.golden = false;
    expect([(await rebuilt()).error, world.state.live]).toEqual([expect.stringContaining('lamp is not found'), target]);
    const runner = start();
    const { id } = await runner.request({ force: true });
    expect(await ended(id)).toMatchObject({ phase: 'done', checks: [{ passed: true }, { check: 'golden queries', passed: false }] });
  });

  it('goes live without documents that the store refuses for what they are, and names them', async () => {
    fillCatalogue(30);
    world.state.refusing.add('p5');
    expect(await rebuilt()).toMatchObject({ phase: 'done', checks: [{ passed: true, detail: expect.stringContaining('1 refused for what they are: p5') }, {}] });
  });
});

describe('jobs', () => {
  it('run one at a time: another request is refused by name', async () => {
    fillCatalogue(30);
    const runner = start({ lead: async () => false });
    const { id } = await runner.request();
    await expect(runner.request()).rejects.toMatchObject({ code: 'conflict', message: expect.stringContaining(`search-${id} is running`) });
    await expect(runner.rollback(id)).rejects.toMatchObject({ code: 'conflict', message: expect.stringContaining('cancel it instead') });
  });

  it('are cancelled before the swap, and leave nothing behind', async () => {
    fillCatalogue(60);
    const { target } = await rebuilt();
    const runner = start();
    const asked: Promise<unknown>[] = [];
    world.beforeRow.run = () => void asked.push(journal.findRunning().then((job) => job && journal.requestCancel(job.id)));
    const { id } = await runner.request();
    expect([(await ended(id)).phase, world.state.live, [...world.targets.keys()]]).toEqual(['cancelled', target, [target]]);
    await Promise.all(asked);
    await expect(runner.cancel(id)).rejects.toMatchObject({ code: 'conflict', message: `search-${id} is cancelled already` });
    await expect(runner.cancel(999_999)).rejects.toMatchObject({ code: 'not_found' });
  });

  it('keep the one before the swap, and a rollback brings it back up to date', async () => {
    fillCatalogue(60);
    const first = await rebuilt();
    const second = await rebuilt();
    world.write('p1', 900);
    world.write('p2', 901, false);
    world.write('new', 902);
    for (const [sku, row] of world.rows) await world.live(sku, row);
    expect(new Set(world.targets.keys())).toEqual(new Set([first.target, second.target]));
    const runner = start();
    const back = await ended((await runner.rollback(second.id)).id);
    expect([back.phase, world.state.live, world.found()]).toEqual(['done', first.target, world.truth()]);
    await expect(runner.rollback(second.id)).rejects.toMatchObject({ code: 'conflict', message: expect.stringContaining('not live any more') });
    const forth = await ended((await runner.rollback(back.id)).id);
    expect([forth.phase, world.state.live]).toEqual(['done', second.target]);
  });

  it('are rolled back although golden queries fail: they may be of what is taken back; the job tells which', async () => {
    fillCatalogue(20);
    const first = await rebuilt();
    const second = await rebuilt();
    world.state.golden = false;
    const runner = start();
    const rollback = await ended((await runner.rollback(second.id)).id);
    expect([rollback.phase, world.state.live, rollback.checks.at(-1)]).toMatchObject(['done', first.target, { check: 'golden queries', passed: false }]);
  });

  it('refuse a rollback where nothing is kept', async () => {
    fillCatalogue(10);
    const first = await rebuilt();
    const runner = start();
    await expect(runner.rollback(first.id)).rejects.toMatchObject({ code: 'conflict', message: `nothing was live before search-${first.id}` });
    const { id } = await runner.request();
    const second = await ended(id);
    await sql`update search.rebuilds set kept_until = now() - interval '1 second' where id = ${second.id}`.execute(db);
    await expect(runner.rollback(second.id)).rejects.toMatchObject({ code: 'conflict', message: `${first.target ?? ''} is kept no longer: start a rebuild` });
  });

  it('drop what is kept no longer', async () => {
    fillCatalogue(10);
    const first = await rebuilt();
    const second = await rebuilt();
    await sql`update search.rebuilds set kept_until = now() - interval '1 second'`.execute(db);
    start();
    await eventually(() => world.targets.size === 1);
    expect([first.target === second.target, [...world.targets.keys()]]).toEqual([false, [second.target]]);
  });

  it('keep the last two at most, since each is as large as the live one', async () => {
    fillCatalogue(10);
    const made: RebuildJob[] = [];
    for (let n = 0; n < 5; n += 1) made.push(await rebuilt());
    start();
    await eventually(() => world.targets.size === 3);
    expect(new Set(world.targets.keys())).toEqual(new Set(made.slice(-3).map(({ target }) => target)));
  });

  it('are forgotten after 90 days, but for those whose target is still kept', async () => {
    fillCatalogue(10);
    await rebuilt();
    await rebuilt();
    const third = await rebuilt();
    await sql`update search.rebuilds set finished_at = now() - interval '100 days', kept_until = case when id = ${third.id} then now() + interval '1 day' end`.execute(db);
    await journal.prune();
    expect([(await journal.list(10)).map(({ id }) => id), await journal.kept()]).toEqual([[third.id], [third.previous]]);
  });

  it('are not begun by themselves against an operator: not after a rollback, not after a cancellation, not soon after a failure', async () => {
    fillCatalogue(10);
    await rebuilt();
    const second = await rebuilt();
    const runner = start();
    await ended((await runner.rollback(second.id)).id);
    world.state.due = 'definition';
    const count = (await journal.list(100)).length;
    await runner.look();
    await runner.look();
    expect((await journal.list(100)).length).toBe(count);
    // A rebuild that the operator tried since, and that failed, decides nothing.
    world.state.golden = false;
    const failed = await ended((await runner.request()).id);
    await sql`update search.rebuilds set finished_at = finished_at - interval '20 minutes'`.execute(db);
    await runner.look();
    await runner.look();
    expect([failed.phase, (await journal.list(100)).length]).toEqual(['failed', count + 1]);
    world.state.golden = true;
    world.state.due = 'repair';
    await eventually(async () => (await journal.list(100)).length >= count + 2);
  });

  it('fail after ten attempts without coming further, and not before', async () => {
    fillCatalogue(10);
    const { target } = await rebuilt();
    const broken = { ...world.store, create: async () => Promise.reject(new Error('no space left')) };
    const before = world.store;
    Object.assign(world.store, broken);
    const runner = start();
    const { id } = await runner.request();
    await eventually(async () => (await journal.find(id))?.error === 'no space left');
    await sql`update search.rebuilds set attempts = 9 where id = ${id}`.execute(db);
    const job = await eventually(async () => {
      const found = await journal.find(id);
      return found?.phase === 'failed' && found;
    });
    Object.assign(world.store, before);
    expect([job.error, world.state.live]).toEqual(['no space left', target]);
  });
});
