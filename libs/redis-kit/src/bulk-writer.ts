import { connect as connectTcp } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { once } from 'node:events';
import { isCluster, masterNodes } from './redis.ts';
import type { Redis, SingleRedis } from './redis.ts';
import { nodeOf } from './send-by-node.ts';

/**
 * Writes many commands as fast as a socket takes them: without a promise, a retry or a reply a command. Only for commands whose reply is one line
 * (SET, HSET, SADD, ZADD …), and for data that can be written again from the start: after a failure nobody knows what was done.
 */
export interface BulkWriter {
  /**
   * Takes a command about one key. Waits while too much is on its way; rejects with the first refusal or broken connection. `isBytes`: each
   * character of the command is a byte (ASCII, or UTF-8 that was decoded as latin1), so nobody has to look.
   */
  write(key: string, command: readonly string[], isBytes?: boolean): Promise<void> | undefined;
  /** Resolves when every command was answered. */
  drain(): Promise<void>;
  /** Resolves once nothing of it is done any more: what was on its way is, or never will be (where a server does not answer: after 5 s, unknown). Never rejects. */
  close(): Promise<void>;
}

/** Longest wait for a server that does not answer any more. */
const CLOSE_MS = 5_000;
const CRLF = '\r\n';
const LENGTHS = Array.from({ length: 4_096 }, (_none, bytes) => `$${bytes}${CRLF}`);
/** RESP2 of a command (https://redis.io/docs/latest/develop/reference/protocol-spec). */
export function encodeCommand(command: readonly string[], isBytes = false): string {
  let text = `*${command.length}${CRLF}`;
  for (const part of command) {
    const bytes = isBytes ? part.length : Buffer.byteLength(part);
    text += (LENGTHS[bytes] ?? `$${bytes}${CRLF}`) + part + CRLF;
  }
  return text;
}

const BUFFER_BYTES = 131_072;
const MAX_UNANSWERED = 5_000;
const NEW_LINE = 0x0a;
const MINUS = 0x2d;

interface NodeWriter {
  add(text: string, isBytes?: boolean): Promise<void> | undefined;
  drain(): Promise<void>;
  close(): Promise<void>;
}

async function open({ options, stream }: SingleRedis): Promise<Socket> {
  // Behind Sentinel the options name the sentinels: the connection that is there knows the way.
  const host = options.sentinels ? ('remoteAddress' in stream ? String(stream.remoteAddress) : '127.0.0.1') : (options.host ?? '127.0.0.1');
  const port = options.sentinels && 'remotePort' in stream ? Number(stream.remotePort) : (options.port ?? 6379);
  const socket = options.tls ? connectTls({ host, port, servername: host, ...options.tls }) : connectTcp({ host, port });
  await once(socket, options.tls ? 'secureConnect' : 'connect');
  return socket.setNoDelay(true);
}

/** Redis does what has reached it before it sees the end; a socket that is destroyed is no end of that. */
async function endSocket(socket: Socket): Promise<void> {
  if (!socket.destroyed) await once(socket.end(), 'close', { signal: AbortSignal.timeout(CLOSE_MS) }).catch(() => undefined);
  socket.destroy();
}

/** One connection: text goes out, lines come back and are counted. */
async function openNode(node: SingleRedis): Promise<NodeWriter> {
  const socket = await open(node);
  let failure: Error | undefined;
  let [unanswered, isLineStart] = [0, true];
  const spare: Buffer<ArrayBuffer>[] = [];
  let buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  let used = 0;
  let wake: (() => void) | undefined;
  const fail = (error: Error): void => {
    failure ??= error;
    wake?.();
  };
  socket.on('error', fail).on('close', () => fail(new Error('the connection to Redis broke off')));
  socket.on('data', (data: Buffer) => {
    for (let at = 0; at < data.length; at += 1) {
      if (isLineStart && data[at] === MINUS) fail(new Error(data.subarray(at + 1, data.indexOf(NEW_LINE, at)).toString().trim()));
      isLineStart = data[at] === NEW_LINE;
      if (isLineStart) unanswered -= 1;
    }
    wake?.();
  });
  const until = async (isEnough: () => boolean): Promise<void> => {
    for (;;) {
      if (failure) throw failure;
      if (isEnough()) return;
      await new Promise<void>((resolve) => { wake = resolve; });
    }
  };
  const flush = (): void => {
    if (used === 0) return;
    const sent = buffer;
    // Used again as soon as it is out: new ones for everything would keep the garbage collector busy.
    socket.write(sent.subarray(0, used), () => void spare.push(sent));
    buffer = spare.pop() ?? Buffer.allocUnsafeSlow(BUFFER_BYTES);
    used = 0;
  };
  // Each text becomes bytes at once: texts that wait are garbage that is hard to collect.
  const add: NodeWriter['add'] = (text, isBytes = false) => {
    const size = isBytes ? text.length : Buffer.byteLength(text);
    const mustFlush = used + size > BUFFER_BYTES;
    if (mustFlush) flush();
    unanswered += 1;
    if (size > BUFFER_BYTES) socket.write(text, isBytes ? 'latin1' : 'utf8');
    else used += buffer.write(text, used, isBytes ? 'latin1' : 'utf8');
    return mustFlush ? until(() => unanswered < MAX_UNANSWERED) : undefined;
  };
  const { username, password, db = 0 } = node.options;
  if (password) await add(encodeCommand(['AUTH', ...(username ? [username] : []), password]));
  if (db > 0) await add(encodeCommand(['SELECT', String(db)]));
  return {
    add,
    async drain() {
      flush();
      await until(() => unanswered <= 0);
    },
    close: () => endSocket(socket),
  };
}

/** Connections of their own beside `redis`, one to each master that it knows. */
export async function openBulkWriter(redis: Redis): Promise<BulkWriter> {
  const nodes = await Promise.all(masterNodes(redis).map(async (node) => ({ name: `${node.options.host}:${node.options.port}`, writer: await openNode(node) })));
  const writers = new Map(nodes.map(({ name, writer }) => [name, writer]));
  const [only] = nodes;
  const writerOf = (key: string): NodeWriter => {
    const writer = isCluster(redis) ? writers.get(nodeOf(redis, key).split(';')[0] ?? '') : only?.writer;
    if (writer === undefined) throw new Error('no master is known for a key');
    return writer;
  };
  return {
    write: (key, command, isBytes) => writerOf(key).add(encodeCommand(command, isBytes), isBytes),
    drain: async () => void (await Promise.all(nodes.map(({ writer }) => writer.drain()))),
    close: async () => void (await Promise.all(nodes.map(({ writer }) => writer.close()))),
  };
}
