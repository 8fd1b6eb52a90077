import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';

export interface Load {
  /** Sends so many requests over all connections, each with one at a time; requests a second. The times go to `times`, in milliseconds, what was answered to `onStatus`. Rejects on anything but 200. */
  run(requests: number, times?: number[], onStatus?: (status: string) => void): Promise<number>;
  close(): void;
}

export interface RequestsOptions {
  readonly port: number;
  readonly connections: number;
  /** The n-th request, counted over all runs, as it goes to the socket. */
  readonly requestOf: (n: number) => string;
  /** Answers that are no failure besides 200. */
  readonly alsoGood?: readonly string[];
}

export interface LoadOptions {
  readonly port: number;
  readonly path: string;
  /** Asked for each request: tokens live a minute. */
  readonly token: () => string;
  readonly connections: number;
  /** Of the n-th request, counted over all runs. */
  readonly bodyOf: (n: number) => string;
}

const HEAD_END = '\r\n\r\n';
const LENGTH = /\r\ncontent-length: (\d+)\r\n/i;

/** Whole answers of one connection, one at a time: status line, headers and a body of known length. */
function answersOf(socket: Socket, onAnswer: (status: string) => void): void {
  let text = '';
  let whole = 0;
  socket.setEncoding('latin1');
  socket.on('data', (chunk: string) => {
    text += chunk;
    if (whole === 0) {
      const head = text.indexOf(HEAD_END);
      if (head < 0) return;
      whole = head + HEAD_END.length + Number(LENGTH.exec(text)?.[1] ?? Number.NaN);
    }
    if (text.length < whole) return;
    const status = text.slice(9, 12);
    text = '';
    whole = 0;
    onAnswer(status);
  });
}

/** Requests with a JSON body and a token to one path. */
export function openLoad({ port, path, token, connections, bodyOf }: LoadOptions): Promise<Load> {
  const head = `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nContent-Type: application/json\r\nAuthorization: Bearer `;
  return openRequests({
    port, connections,
    requestOf: (n) => {
      const body = bodyOf(n);
      return `${head}${token()}\r\nContent-Length: ${Buffer.byteLength(body)}${HEAD_END}${body}`;
    },
  });
}

/**
 * HTTP by hand over kept connections: on a machine of two cores a whole HTTP client takes as much time as the server that is measured, and Redis gets
 * what is left. The same for every server of a comparison.
 */
export async function openRequests({ port, connections, requestOf, alsoGood = [] }: RequestsOptions): Promise<Load> {
  const good = new Set(['200', ...alsoGood]);
  const sockets = await Promise.all(Array.from({ length: connections }, async () => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    await once(socket, 'connect');
    return socket;
  }));
  let sent = 0;
  let answered: (socket: Socket, status: string) => void = () => undefined;
  let broken: Error | undefined;
  let failed: (error: Error) => void = () => undefined;
  for (const socket of sockets) {
    answersOf(socket, (status) => answered(socket, status));
    socket.on('close', () => failed((broken = new Error('the server closed a connection'))));
    socket.on('error', (error) => failed(error));
  }
  const run: Load['run'] = (requests, times, onStatus) =>
    new Promise((resolve, reject) => {
      let left = requests;
      let open = requests;
      const startMs = performance.now();
      const since = new Map<Socket, number>();
      const next = (socket: Socket): void => {
        if (left === 0) return;
        left -= 1;
        const request = requestOf((sent += 1));
        since.set(socket, performance.now());
        socket.write(request);
      };
      if (broken) return reject(broken);
      failed = reject;
      answered = (socket, status) => {
        times?.push(performance.now() - (since.get(socket) ?? Number.NaN));
        onStatus?.(status);
        if (!good.has(status)) return reject(new Error(`the server answered ${status}`));
        open -= 1;
        if (open === 0) resolve((requests / (performance.now() - startMs)) * 1_000);
        else next(socket);
      };
      for (const socket of sockets) next(socket);
    });
  return {
    run,
    close: () => {
      failed = () => undefined;
      for (const socket of sockets) socket.destroy();
    },
  };
}
