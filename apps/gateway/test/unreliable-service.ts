import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { once } from 'node:events';
import { freePorts } from '@millrace/testing/free-ports';

/** A real service that fails as it is told to. */
export interface UnreliableService {
  readonly url: string;
  /** Requests that arrived, oldest first. */
  readonly calls: readonly IncomingMessage[];
  /** What happens to the next ones. */
  behave(how: Behaviour): void;
  /** Answers that hang go out now. */
  release(): void;
  /** As `kill -9`: connections break, new ones are refused. */
  kill(): Promise<void>;
  /** On the same port. */
  start(): Promise<void>;
}

export type Behaviour = 'ok' | 'hang' | 'die' | { readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: string } | ((call: number, req: IncomingMessage) => Behaviour);

export async function startUnreliableService(): Promise<UnreliableService> {
  const calls: IncomingMessage[] = [];
  const hanging: (() => void)[] = [];
  let behaviour: Behaviour = 'ok';
  let server: Server | undefined;
  const [port = 0] = await freePorts(1);
  const send = (res: ServerResponse, status: number, body: string, headers: Readonly<Record<string, string>>): void => void res.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), ...headers }).end(body);
  const answer = (req: IncomingMessage, res: ServerResponse, how: Behaviour): void => {
    if (typeof how === 'function') answer(req, res, how(calls.length, req));
    else if (how === 'ok') send(res, 200, `{"call":${calls.length}}`, {});
    else if (how === 'die') req.socket.destroy();
    else if (how === 'hang') hanging.push(() => send(res, 200, '{}', {}));
    else send(res, how.status, how.body ?? '{}', how.headers ?? {});
  };
  const start = async (): Promise<void> => {
    server = createServer((req, res) => {
      req.resume();
      calls.push(req);
      answer(req, res, behaviour);
    }).listen(port, '127.0.0.1');
    await once(server, 'listening');
  };
  await start();
  return {
    url: `http://127.0.0.1:${port}`,
    calls,
    behave: (how) => void (behaviour = how),
    release: () => hanging.splice(0).forEach((go) => go()),
    async kill() {
      const stopped = server;
      server = undefined;
      if (!stopped) return;
      stopped.closeAllConnections();
      stopped.close();
      await once(stopped, 'close');
    },
    start,
  };
}
