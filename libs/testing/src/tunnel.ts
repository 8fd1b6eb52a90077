import { connect as connectSocket, createServer } from 'node:net';
import type { Socket } from 'node:net';
import { eventually } from './eventually.ts';

/** Something between a client and its server that misbehaves when it is told to. */
export interface Tunnel {
  readonly url: string;
  /** Connections stay open, and nothing comes through. */
  swallow(on: boolean): void;
  /** Every connection is broken, and new ones are accepted and dropped. */
  drop(on: boolean): void;
  /** How many were, since the last `drop(true)`. */
  drops(): number;
  /** The next reply that contains the text is lost, with its connection. */
  cutAtReplyWith(text: string): void;
  cuts(): number;
  connections(): number;
  close(): void;
}

/** To the server of a URL. */
export async function startTunnel(to: string): Promise<Tunnel> {
  const target = new URL(to);
  const sockets = new Set<Socket>();
  let [isSilent, isDropping, cuts, drops] = [false, false, 0, 0];
  let fatal: string | undefined;
  const server = createServer((client) => {
    if (isDropping) {
      drops += 1;
      client.destroy();
      return;
    }
    const upstream = connectSocket(Number(target.port), target.hostname);
    for (const socket of [client, upstream]) sockets.add(socket.on('error', () => undefined));
    client.on('data', (data) => isSilent || upstream.write(data)).on('close', () => upstream.destroy());
    upstream.on('close', () => client.destroy()).on('data', (data) => {
      if (fatal !== undefined && data.includes(fatal)) {
        fatal = undefined;
        cuts += 1;
        client.destroy();
      } else if (!isSilent) client.write(data);
    });
  }).listen(0, '127.0.0.1');
  const address = await eventually(() => server.address() ?? undefined);
  const breakAll = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  const through = new URL(to);
  through.hostname = '127.0.0.1';
  through.port = String(typeof address === 'object' ? address.port : 0);
  return {
    url: through.href,
    swallow: (on) => void (isSilent = on),
    drop(on) {
      isDropping = on;
      if (on) drops = 0;
      if (on) breakAll();
    },
    cutAtReplyWith: (text) => void (fatal = text),
    cuts: () => cuts,
    drops: () => drops,
    connections: () => sockets.size,
    close() {
      server.close();
      breakAll();
    },
  };
}
