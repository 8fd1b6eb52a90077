import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { openSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { ConsumerSettings } from './consumer-settings.ts';
import type { Point } from './plan.ts';

export interface Killed {
  readonly consumer: string;
  /** Where it really died. */
  readonly point: Point;
  /** By Date.now(). */
  readonly at: number;
}

export interface Crew {
  /** Consumers that have subscribed since their last start. */
  subscribed(): readonly string[];
  /** Kills the consumer with SIGKILL. One that does not come by its point within two seconds dies anyway. It is not started again. */
  kill(consumer: string, point: Point): Promise<Killed>;
  start(consumer: string): void;
  /** Times that a consumer has ended by itself. */
  crashes(): number;
  close(): Promise<void>;
}

interface Member {
  readonly child: ChildProcess;
  subscribed: boolean;
  expected: boolean;
}

const AT_LATEST_MS = 2_000;
const program = fileURLToPath(new URL('consumer.ts', import.meta.url));

/** Consumers with stable names, each a process of its own. */
export function startCrew(names: readonly string[], settings: Omit<ConsumerSettings, 'consumer'>): Crew {
  const members = new Map<string, Member>();
  let crashes = 0;
  let closing = false;

  const start = (consumer: string): void => {
    const log = openSync(settings.logFile, 'a');
    const child = fork(program, [JSON.stringify({ ...settings, consumer } satisfies ConsumerSettings)], { stdio: ['ignore', log, log, 'ipc'] });
    const member: Member = { child, subscribed: false, expected: false };
    members.set(consumer, member);
    child.on('message', () => (member.subscribed = true));
    // The channel of a process that has just died.
    child.on('error', () => undefined);
    child.once('exit', (code, signal) => {
      if (member.expected || closing) return;
      crashes += 1;
      console.error(`${consumer} ended by itself: code ${code}, signal ${signal}`);
      start(consumer);
    });
  };
  const kill = async (consumer: string, wanted: Point): Promise<Killed> => {
    const member = members.get(consumer);
    if (!member) throw new Error(`there is no consumer ${consumer}`);
    let point = wanted;
    member.expected = true;
    member.subscribed = false;
    const exited = once(member.child, 'exit');
    const killNow = (): void => {
      point = 'anywhere';
      member.child.kill('SIGKILL');
    };
    if (wanted === 'anywhere') killNow();
    else member.child.send({ dieAt: wanted });
    const late = setTimeout(killNow, AT_LATEST_MS);
    await exited;
    clearTimeout(late);
    return { consumer, point, at: Date.now() };
  };

  for (const name of names) start(name);
  return {
    subscribed: () => [...members].flatMap(([name, { subscribed }]) => (subscribed ? [name] : [])),
    kill, start,
    crashes: () => crashes,
    async close() {
      closing = true;
      await Promise.all(
        [...members.values()].map(async ({ child }) => {
          if (child.exitCode !== null || child.signalCode !== null) return;
          const exited = once(child, 'exit');
          child.kill('SIGKILL');
          await exited;
        }),
      );
    },
  };
}
