import { createServer } from 'node:net';
import type { Server } from 'node:net';

/** A port that something needs: what for, and how a user moves it. */
export interface PortNeed {
  readonly port: number;
  readonly use: string;
  readonly variable: string;
}

const listen = (port: number): Promise<Server> =>
  new Promise((done, failed) => {
    const server = createServer().once('error', failed);
    server.listen(port, '127.0.0.1', () => done(server));
  });
const close = (server: Server): Promise<void> => new Promise((done) => void server.close(() => done()));

/** Why a port cannot be had, or undefined where it is free. */
async function whyNot(port: number): Promise<string | undefined> {
  try {
    await close(await listen(port));
    return undefined;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EACCES' ? 'needs more rights than you have' : 'is taken by another program';
  }
}

/** Throws one sentence for each port that cannot be had: which, what for, and the variable that moves it. */
export async function requirePorts(needs: readonly PortNeed[]): Promise<void> {
  const found = await Promise.all(needs.map(async (need) => ({ ...need, why: await whyNot(need.port) })));
  const lines = found.flatMap(({ port, use, variable, why }) => (why === undefined ? [] : [`port ${port} (for ${use}) ${why}: free it, or set ${variable} to another`]));
  if (lines.length > 0) throw new Error(`${lines.join('\n')}\nMILLRACE_PORT_BASE=<n> moves all ports at once.`);
}
