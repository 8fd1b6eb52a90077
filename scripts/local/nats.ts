import { mkdirSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { freePorts } from '@millrace/testing/free-ports';
import { findNats } from './bus-binaries.ts';
import { stateDir as mainStateDir } from './paths.ts';
import { startServer } from './server.ts';
import type { LocalServer } from './server.ts';

/** Greets as NATS does? */
const greets = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const end = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(1_000, () => end(false)).once('error', () => end(false)).once('data', (data) => end(data.toString().startsWith('INFO ')));
  });

/** A nats-server with JetStream on 127.0.0.1 for tests; undefined where no program is found. */
export async function startNats(stateDir: string): Promise<(LocalServer & { readonly binary: string }) | undefined> {
  const binary = findNats(mainStateDir());
  if (binary === undefined) return undefined;
  const [port = 0] = await freePorts(1);
  const dir = join(stateDir, 'nats');
  rmSync(dir, { recursive: true, force: true });
  for (const part of [dir, join(stateDir, 'logs')]) mkdirSync(part, { recursive: true, mode: 0o700 });
  const server = await startServer({
    stateDir, name: 'server-nats', url: `nats://127.0.0.1:${port}`, command: binary, args: ['--addr', '127.0.0.1', '--port', String(port), '--jetstream', '--store_dir', dir],
    stopBy: 'SIGTERM', logFile: join(stateDir, 'logs', 'nats.log'), isReady: () => greets(port),
  });
  return { ...server, binary };
}
