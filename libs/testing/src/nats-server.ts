import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from './eventually.ts';
import { freePorts } from './free-ports.ts';
import { natsGreets } from './nats-greets.ts';
import type { OwnServer } from './postgres-server.ts';
import { killChild } from './kill-child.ts';
import { testServer } from './servers.ts';

export interface NatsServer extends OwnServer {
  /** Kills it and starts it again with nothing of what it had. */
  empty(): Promise<void>;
}

/** A nats-server of the test's own, on a free port, with JetStream unless the arguments say otherwise. Needs TEST_NATS_SERVER_BIN. */
export async function startNatsServer({ jetStream = true, args = [] }: { readonly jetStream?: boolean; readonly args?: readonly string[] } = {}): Promise<NatsServer> {
  const [[port = 0], directory] = await Promise.all([freePorts(1), mkdtemp(join(tmpdir(), 'millrace-nats-'))]);
  let child: ChildProcess | undefined;
  const start = async (): Promise<void> => {
    child = spawn(testServer('nats-server'), ['--addr', '127.0.0.1', '--port', String(port), ...(jetStream ? ['--jetstream', '--store_dir', directory] : []), ...args], { stdio: 'ignore' });
    await eventually(() => natsGreets(port), { timeoutMs: 20_000, everyMs: 20 });
  };
  const kill = async (): Promise<void> => {
    const running = child;
    child = undefined;
    await killChild(running);
  };
  const stop = async (): Promise<void> => {
    await kill();
    await rm(directory, { recursive: true, force: true, maxRetries: 20 });
  };
  await start().catch(async (error: unknown) => {
    await stop();
    throw error;
  });
  return {
    url: `nats://127.0.0.1:${port}`, kill, stop,
    async empty() {
      await kill();
      await rm(directory, { recursive: true, force: true });
      await start();
    },
    async restart() {
      await kill();
      await start();
    },
  };
}
