import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { eventually } from '@millrace/testing';
import { findProcess, isAlive, rememberProcess, stopOrphans } from '../local/processes.ts';
import { supervise } from '../local/supervisor.ts';
import type { SupervisedApp } from '../local/supervisor.ts';

describe('the supervisor', () => {
  let dir = '';
  let events: string[] = [];
  let app: SupervisedApp | undefined;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'millrace-supervisor-'));
    events = [];
  });
  afterEach(async () => {
    await app?.stop(2_000);
    rmSync(dir, { recursive: true });
  });

  /** Each start of the app writes a line to `starts`, then does what `body` says. */
  const start = (body: string): SupervisedApp => {
    const main = join(dir, 'main.mjs');
    writeFileSync(main, `import { appendFileSync } from 'node:fs';\nappendFileSync(${JSON.stringify(join(dir, 'starts'))}, 'x');\n${body}\n`);
    app = supervise({ name: 'demo', stateDir: dir, main, cwd: dir, env: {}, logFile: join(dir, 'demo.log'), backoffMs: 10, onEvent: (text) => events.push(text) });
    return app;
  };
  const starts = (): number => (existsSync(join(dir, 'starts')) ? readFileSync(join(dir, 'starts'), 'utf8').length : 0);
  const stays = 'setInterval(() => undefined, 1_000);';

  it('starts a crashed app again', async () => {
    start('process.exit(1);');
    await eventually(() => starts() >= 3);
    expect(events[0]).toMatch(/demo ended with 1; starting it again/);
  });

  it('starts an app again that was killed from outside', async () => {
    const { pid } = start(stays);
    await eventually(() => starts() === 1);
    process.kill(pid ?? 0, 'SIGKILL');
    await eventually(() => starts() === 2 && app?.pid !== undefined && app.pid !== pid);
    expect(events).toHaveLength(1);
  });

  it('does not start an app again that refuses its configuration, and shows what it said', async () => {
    const running = start("console.error('PORT: is missing');\nprocess.exit(2);");
    await eventually(() => running.problem);
    expect(running.problem).toMatch(/refuses its configuration:\nPORT: is missing/);
    expect(starts()).toBe(1);
  });

  it('keeps an app down that was killed on purpose, until it is started again', async () => {
    const running = start(stays);
    await eventually(() => starts() === 1);
    await running.kill();
    expect(running.pid).toBeUndefined();
    expect(events).toEqual([]);
    await running.restart();
    await eventually(() => starts() === 2);
  });

  it('ends an app by force that does not react', async () => {
    const running = start(`process.on('SIGTERM', () => undefined);\n${stays}`);
    await eventually(() => starts() === 1);
    const { pid = 0 } = running;
    await running.stop(50);
    expect(isAlive(pid)).toBe(false);
  });

  it('lets a later run find and stop what a killed run left behind', async () => {
    const { pid = 0 } = start(stays);
    await eventually(() => findProcess(dir, 'app-demo'));
    await app?.stop(1);
    // As if the process had been started by a run that is gone.
    const orphan = start(stays);
    await eventually(() => orphan.pid !== undefined && orphan.pid !== pid);
    const orphanPid = orphan.pid ?? 0;
    void orphan.kill('SIGCONT');
    expect(await stopOrphans(dir)).toEqual(['app-demo']);
    expect(isAlive(orphanPid)).toBe(false);
  });

  it('never stops another program that got the pid of a dead one', async () => {
    mkdirSync(join(dir, 'run'));
    rememberProcess(dir, { name: 'app-demo', pid: process.pid, stopBy: 'SIGTERM' });
    const file = join(dir, 'run', 'app-demo.pid');
    writeFileSync(file, readFileSync(file, 'utf8').replace(/"born":"[^"]*"/, '"born":"earlier"'));
    expect(await stopOrphans(dir)).toEqual([]);
  });
});
