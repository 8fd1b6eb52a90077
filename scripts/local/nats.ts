import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { freePorts } from '@millrace/testing/free-ports';
import { natsGreets } from '@millrace/testing/nats-greets';
import { findNats } from './bus-binaries.ts';
import { stateDir as mainStateDir } from './paths.ts';
import { startServer } from './server.ts';
import type { LocalServer } from './server.ts';

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
    stopBy: 'SIGTERM', logFile: join(stateDir, 'logs', 'nats.log'), isReady: () => natsGreets(port),
  });
  return { ...server, binary };
}
