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
   * Takes a command about one key. Waits while too much is on its way; rejects with the first refusal or broken connection. `isAscii`: the
   * caller knows that there are no other characters, so nobody has to look.
   */
  write(key: string, command: readonly string[], isAscii?: boolean): Promise<void> | undefined;
  /** Resolves when every command was answered. */
  drain(): Promise<void>;
  close(): void;
}

const CRLF = '\r\n';
/** RESP2 of a command (https://redis.io/docs/latest/develop/reference/protocol-spec). */
export function encodeCommand(command: readonly string[], isAscii = false): string {
  let text = `*${command.length}${CRLF}`;
  for (const part of command) text += `$${isAscii ? part.length : Buffer.byteLength(part)}${CRLF}${part}${CRLF}`;
  return text;
}

const BUFFER_CHARACTERS = 131_072;
const MAX_UNANSWERED = 5_000;
const NEW_LINE = 0x0a;
const MINUS = 0x2d;

interface NodeWriter {
  add(text: string, isAscii?: boolean): Promise<void> | undefined;
  drain(): Promise<void>;
  close(): void;
}

async function open({ options, stream }: SingleRedis): Promise<Socket> {
  // Behind Sentinel the options name the sentinels: the connection that is there knows the way.
  const host = options.sentinels ? ('remoteAddress' in stream ? String(stream.remoteAddress) : '127.0.0.1') : (options.host ?? '127.0.0.1');
  const port = options.sentinels && 'remotePort' in stream ? Number(stream.remotePort) : (options.port ?? 6379);
  const socket = options.tls ? connectTls({ host, port, servername: host, ...options.tls }) : connectTcp({ host, port });
  await once(socket, options.tls ? 'secureConnect' : 'connect');
  return socket.setNoDelay(true);
}

/** One connection: text goes out, lines come back and are counted. */
async function openNode(node: SingleRedis): Promise<NodeWriter> {
  const socket = await open(node);
  let failure: Error | undefined;
  let [unanswered, isLineStart] = [0, true];
  let pending: string[] = [];
  let characters = 0;
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
  let isPlain = true;
  const flush = (): void => {
    // One byte a character is half the work.
    socket.write(Buffer.from(pending.join(''), isPlain ? 'latin1' : 'utf8'));
    pending = [];
    characters = 0;
    isPlain = true;
  };
  const add: NodeWriter['add'] = (text, isAscii = false) => {
    pending.push(text);
    isPlain &&= isAscii;
    characters += text.length;
    unanswered += 1;
    if (characters < BUFFER_CHARACTERS) return undefined;
    flush();
    return until(() => unanswered < MAX_UNANSWERED);
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
    close: () => void socket.destroy(),
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
    write: (key, command, isAscii) => writerOf(key).add(encodeCommand(command, isAscii), isAscii),
    drain: async () => void (await Promise.all(nodes.map(({ writer }) => writer.drain()))),
    close: () => nodes.forEach(({ writer }) => writer.close()),
  };
}
